// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { NodeMlxError } from '../errors'
import type { NativeChunk, NativeGeneration, NativeGenerationResult } from '../native'
import type { Connection } from './connection'
import type { NextReply } from './protocol'

type Begun = [connection: Connection, run: number]

/** A run of another process. */
export class RemoteGeneration implements NativeGeneration {
  readonly #begun: Promise<Begun>
  #cancelled = false
  #ended = false
  #result: NativeGenerationResult | undefined

  constructor(begin: (run: RemoteGeneration) => Promise<Begun>) {
    this.#begun = begin(this)
    this.#begun.catch(() => {})
  }

  begin(connection: Connection, model: number, args: readonly unknown[]): number {
    const as = connection.number(this)
    // `next` reports what goes wrong.
    connection.call(model, 'generate', args, { as }).catch(() => {})
    return as
  }

  async next(): Promise<NativeChunk[] | null> {
    const [connection, run] = await this.#begun
    try {
      const { chunks, result } = await connection.call<NextReply>(run, 'next')
      this.#result = result
      this.#ended = chunks === null
      return chunks
    } catch (error) {
      this.#ended = true
      throw error
    }
  }

  cancel(): void {
    if (this.#ended || this.#cancelled) return
    this.#cancelled = true
    this.#begun.then(([connection, run]) => connection.call(run, 'cancel')).catch(() => {})
  }

  result(): NativeGenerationResult {
    if (this.#result === undefined) throw new NodeMlxError('ERR_INVALID_STATE', 'not at its end')
    return this.#result
  }
}
