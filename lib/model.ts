// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { startChat, type Chat } from './chat'
import { Generation } from './generation'
import { roomFor } from './length'
import { LoadedModel } from './loaded'
import type {
  LocalModel,
  NativeGeneration,
  NativeModel,
  NativeModelInfo,
  NativeSlot,
} from './native'
import { CHAT_OPTIONS, checkOptions, GENERATE_OPTIONS, readable } from './options'
import { checkContinuable, refuseDraft, toNativePrompt, toRunOptions } from './prompt'
import type { StandardSchema } from './schema'
import { Tokenizer } from './tokenizer'
import type { ChatOptions, GenerateOptions, Prompt } from './types'

/** Keeps a model from being garbage-collected, and so from being freed, before its runs are. */
const owners = new WeakMap<Generation, Model>()

/**
 * A loaded model. Dispose of it when done, for example with `await using model = await loadModel(…)`.
 * Its properties stay readable after that; everything else then fails with ERR_MODEL_DISPOSED.
 */
export class Model extends LoadedModel {
  readonly tokenizer: Tokenizer
  readonly #native: NativeModel
  readonly #info: NativeModelInfo

  /** @internal Made by `loadModel`. */
  constructor(id: string, native: NativeModel) {
    const info = native.info()
    super('Model', id, native, info)
    this.#native = native
    this.#info = info
    this.tokenizer = new Tokenizer(() => this.#use(), info)
  }

  /**
   * Starts a run. Never throws; errors are reported by the Generation.
   *
   * Errors, among others: ERR_INVALID_ARG_VALUE and ERR_OUT_OF_RANGE name the option or message;
   * ERR_CONTEXT_OVERFLOW has `details.limit`; ERR_CHAT_TEMPLATE has the template's message; ERR_GRAMMAR_UNSUPPORTED names
   * what of a schema cannot be guaranteed; ERR_SCHEMA_MISMATCH has the answer that the schema's library rejects;
   * ERR_INSUFFICIENT_MEMORY; ERR_QUEUE_FULL; ABORT_ERR; ERR_MODEL_DISPOSED.
   */
  generate<T>(
    prompt: Prompt,
    options: GenerateOptions & { schema: StandardSchema<T> },
  ): Generation<T>
  generate(prompt: Prompt, options?: GenerateOptions): Generation
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const generation = new Generation(
      () => checkOptions(options, GENERATE_OPTIONS),
      (checked) => this.#start(prompt, checked),
    )
    owners.set(generation, this)
    return generation
  }

  /**
   * Starts a conversation that keeps its messages and reuses the KV cache, or continues one that was saved.
   * @throws ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE, naming the option or message, ERR_MODEL_DISPOSED, or, with `restore`,
   *   ERR_CHAT_FILE if the file is no saved chat, or damaged, and ERR_INVALID_STATE if the model is in another process
   */
  chat(options: ChatOptions = {}): Chat {
    return startChat(
      (messages, sent, slot) => this.#start(messages, sent, slot),
      this.#use(),
      checkOptions(options, CHAT_OPTIONS),
    )
  }

  #use(): NativeModel {
    this.checkLoaded()
    return this.#native
  }

  #draft(model: unknown): LocalModel {
    return readable('speculative.draft', () => {
      if (!(model instanceof Model)) return refuseDraft('expected a model of loadModel')
      const native = model.#use()
      return native.constructor === this.#native.constructor
        ? (native as LocalModel)
        : refuseDraft('must be in the same process as the model')
    })
  }

  #start(prompt: Prompt, options: GenerateOptions, slot?: NativeSlot): NativeGeneration {
    const native = this.#use()
    if (options.continueFinalMessage) checkContinuable(prompt)
    const room = roomFor(this.#info)
    const input = toNativePrompt(prompt, options.raw ?? false, this.#info, room)
    const run = toRunOptions(options, this.#info, room)
    const { signal, speculative } = options
    const draft = typeof speculative === 'object' ? this.#draft(speculative.draft) : undefined
    // So that one that is aborted already makes no token.
    return native.generate(input, run, slot, signal?.aborted, draft)
  }
}
