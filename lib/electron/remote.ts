// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The addon's classes as a client has them. The classes of this package, such as Model and Chat, run on top of either.

import { abortError, NodeMlxError } from '../errors'
import type {
  NativeChunk,
  NativeGeneration,
  NativeGenerationResult,
  NativeModel,
  NativeModelInfo,
  NativePrompt,
  NativeSlot,
  NativeSpecialTokens,
} from '../native'
import type { CallOptions, Connection, Link } from './connection'
import type { ModelFacts, NextReply } from './protocol'

/** Makes a model on a connection. */
export type MakeModel = (connection: Connection, options: CallOptions) => Promise<ModelFacts>

/** A model of another process. It is made again where it is used after that process has died. */
export class RemoteModel implements NativeModel {
  readonly #link: Link
  readonly #make: MakeModel
  readonly #numbers = new WeakMap<Connection, Promise<number>>()
  #facts: ModelFacts | undefined
  #disposed = false

  private constructor(link: Link, make: MakeModel) {
    this.#link = link
    this.#make = make
  }

  /** Makes the model for the first time, which alone reports progress and can be aborted. */
  static async load(link: Link, make: MakeModel, options: CallOptions = {}): Promise<RemoteModel> {
    const model = new RemoteModel(link, make)
    const connection = await link.open()
    const number = connection.number(model)
    model.#facts = await make(connection, { ...options, as: number })
    model.#numbers.set(connection, Promise.resolve(number))
    return model
  }

  info(): NativeModelInfo {
    return this.#known.info
  }

  specialTokens(): NativeSpecialTokens {
    return this.#known.specialTokens
  }

  generate(prompt: NativePrompt, options: string, slot?: NativeSlot | null): NativeGeneration {
    return new RemoteGeneration(async (run) => {
      const [connection, model] = await this.open()
      const inSlot = slot instanceof RemoteSlot ? slot.number(connection, model) : undefined
      return [connection, run.begin(connection, model, [prompt, options, inSlot])]
    })
  }

  slot(): NativeSlot {
    return new RemoteSlot(this.#link)
  }

  encode(...args: Parameters<NativeModel['encode']>): Promise<Uint32Array> {
    return this.call('encode', args)
  }

  decode(...args: Parameters<NativeModel['decode']>): Promise<string> {
    return this.call('decode', args)
  }

  applyChatTemplate(...args: Parameters<NativeModel['applyChatTemplate']>): Promise<string> {
    return this.call('applyChatTemplate', args)
  }

  async dispose(): Promise<void> {
    this.#disposed = true
    const connection = this.#link.current
    const number = connection && (await this.#numbers.get(connection)?.catch(() => undefined))
    if (number !== undefined) await connection?.call(number, 'dispose')
  }

  async call<T>(method: string, args: readonly unknown[], options?: CallOptions): Promise<T> {
    const [connection, model] = await this.open()
    return connection.call(model, method, args, options)
  }

  /** The open connection, and the model's number on it. */
  async open(): Promise<[Connection, number]> {
    if (this.#disposed) throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the model has been disposed')
    const connection = await this.#link.open()
    const made = this.#numbers.get(connection) ?? this.#makeAgain(connection)
    return [connection, await made]
  }

  #makeAgain(connection: Connection): Promise<number> {
    const as = connection.number(this)
    const made = this.#make(connection, { as }).then(() => as)
    this.#numbers.set(connection, made)
    // The next use tries it once more.
    made.catch(() => this.#numbers.delete(connection))
    return made
  }

  get #known(): ModelFacts {
    if (this.#facts === undefined) throw new NodeMlxError('ERR_INVALID_STATE', 'not loaded')
    return this.#facts
  }
}

type Begun = [connection: Connection, run: number]

class RemoteGeneration implements NativeGeneration {
  readonly #begun: Promise<Begun>
  #cancelled = false
  #ended = false
  #result: NativeGenerationResult | undefined

  constructor(begin: (run: RemoteGeneration) => Promise<Begun>) {
    this.#begun = begin(this)
    this.#begun.catch(() => {})
  }

  begin(connection: Connection, model: number, args: readonly unknown[]): number {
    if (this.#cancelled) throw abortError()
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

/** Caches are lost with their process: the slot is empty on the next connection. */
class RemoteSlot implements NativeSlot {
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
