// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { NodeMlxError } from '../errors'
import type { NativeSlot } from '../native'
import type { Connection, Link } from './connection'

/** Whoever may use a model may not thereby write files. */
export const UNSAVED =
  'chats with a model of another process cannot be saved or restored: keep chat.messages'

/** A slot of another process. Caches are lost with their process: on the next connection, the slot is empty. */
export class RemoteSlot implements NativeSlot {
  readonly #link: Link
  readonly #numbers = new WeakMap<Connection, number>()

  constructor(link: Link) {
    this.#link = link
  }

  number(connection: Connection, model: number): number {
    return this.#numbers.get(connection) ?? this.#make(connection, model, 'slot')
  }

  fork(): NativeSlot {
    const fork = new RemoteSlot(this.#link)
    this.#here((connection, number) => fork.#make(connection, number, 'fork'))
    return fork
  }

  async save(): Promise<never> {
    throw new NodeMlxError('ERR_INVALID_STATE', UNSAVED)
  }

  free(): void {
    this.#here((connection, number) => void connection.call(number, 'free').catch(() => {}))
  }

  #make(connection: Connection, from: number, method: 'slot' | 'fork'): number {
    const as = connection.number(this)
    this.#numbers.set(connection, as)
    // A run in a slot that was not made fails.
    connection.call(from, method, [], { as }).catch(() => {})
    return as
  }

  #here(use: (connection: Connection, number: number) => void): void {
    const connection = this.#link.current
    const number = connection && this.#numbers.get(connection)
    if (connection !== undefined && number !== undefined) use(connection, number)
  }
}
