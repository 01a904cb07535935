// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, NodeMlxError } from '../errors'
import type {
  NativeGeneration,
  NativeModel,
  NativeModelInfo,
  NativePrompt,
  NativeSlot,
  NativeSpecialTokens,
} from '../native'
import type { CallOptions, Connection, Link } from './connection'
import { ROOT, type ModelFacts } from './protocol'
import { RemoteGeneration } from './remote-generation'
import { RemoteSlot, UNSAVED } from './remote-slot'

/** The method of the library, with its arguments, that makes a model. */
export type MakeModel = readonly [method: string, args: readonly unknown[]]

/** A model of another process. It is made again where it is used after that process has died. */
export class RemoteModel implements NativeModel {
  readonly #link: Link
  #make: MakeModel
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
    const facts = await connection.call<ModelFacts>(ROOT, ...make, { ...options, as: number })
    model.#facts = facts
    // Later from its folder: the Hub may have another revision by then.
    const [method, [, ...others]] = make
    if (method === 'loadModel') model.#make = [method, [facts.info.path, ...others]]
    model.#numbers.set(connection, Promise.resolve(number))
    return model
  }

  info(): NativeModelInfo {
    return this.#known.info
  }

  specialTokens(): NativeSpecialTokens {
    return this.#known.specialTokens
  }

  generate(
    prompt: NativePrompt,
    options: string,
    slot?: NativeSlot | null,
    cancelled?: boolean | null,
    draft?: NativeModel | null,
  ): NativeGeneration {
    if (draft !== undefined && draft !== null)
      throw invalidArgument('speculative.draft', 'not supported for models in another process')
    return new RemoteGeneration(async (run) => {
      const [connection, model] = await this.open()
      const inSlot = slot instanceof RemoteSlot ? slot.number(connection, model) : undefined
      return [connection, run.begin(connection, model, [prompt, options, inSlot, cancelled])]
    })
  }

  slot(): NativeSlot {
    return new RemoteSlot(this.#link)
  }

  restore(): never {
    throw new NodeMlxError('ERR_INVALID_STATE', UNSAVED)
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
    const number = connection && (await this.#numbers.get(connection)?.catch(() => null))
    if (typeof number === 'number') await connection?.call(number, 'dispose')
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
    const made = connection.call(ROOT, ...this.#make, { as }).then(() => as)
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
