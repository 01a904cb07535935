// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { startChat, type Chat } from './chat'
import { NodeMlxError, settle } from './errors'
import { Generation } from './generation'
import type { NativeGeneration, NativeModel, NativeModelInfo, NativeSlot } from './native'
import { CHAT_OPTIONS, checkOptions, GENERATE_OPTIONS, withoutUndefined } from './options'
import { checkContinuable, toNativePrompt, toRunOptions } from './prompt'
import type { StandardSchema } from './schema'
import { INSPECT } from './symbols'
import { Tokenizer } from './tokenizer'
import type { ChatOptions, GenerateOptions, Prompt, Quantization } from './types'

/** Keeps a model from being garbage-collected, and so from being freed, before its runs are. */
const owners = new WeakMap<Generation, Model>()

/**
 * A loaded model. Dispose of it when done, for example with `await using model = await loadModel(…)`.
 * Its properties stay readable after that; everything else then fails with ERR_MODEL_DISPOSED.
 */
export class Model {
  /** The `idOrPath` that was passed to `loadModel`. */
  readonly id: string
  /** The folder that the model was loaded from. */
  readonly path: string
  /** The architecture: `model_type` in config.json. */
  readonly modelType: string
  /** Maximum number of tokens that the model can attend to. */
  readonly contextLength: number
  /** Number of token ids that the model has embeddings for. */
  readonly vocabSize: number
  readonly parameterCount: number
  /** Quantization of the weights, if they are quantized. */
  readonly quantization: Quantization | undefined
  /** Device that the model runs on: `'gpu'` or `'cpu'`. */
  readonly device: string
  readonly tokenizer: Tokenizer
  readonly #native: NativeModel
  readonly #info: NativeModelInfo
  #disposing: Promise<void> | undefined

  /** @internal Made by `loadModel`. */
  constructor(id: string, native: NativeModel) {
    const info = native.info()
    this.id = id
    this.path = info.path
    this.modelType = info.modelType
    this.contextLength = info.contextLength
    this.vocabSize = info.vocabSize
    this.parameterCount = info.parameterCount
    this.quantization = info.quantization
    this.device = info.device
    this.#native = native
    this.#info = info
    this.tokenizer = new Tokenizer(() => this.#use(), info)
  }

  /** Bytes that the weights occupy; 0 once the model is disposed. */
  get memoryUsage(): number {
    return this.#disposing === undefined ? this.#info.memoryUsage : 0
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
    const generation = new Generation(() => {
      checkOptions(options, GENERATE_OPTIONS)
      return this.#start(prompt, options)
    }, options ?? {})
    owners.set(generation, this)
    return generation
  }

  /**
   * Starts a conversation that keeps its messages and reuses the KV cache, or continues one that was saved.
   * @throws ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE, naming the option or message, ERR_MODEL_DISPOSED, or, with `restore`,
   *   ERR_CHAT_FILE if the file is no saved chat, or damaged, and ERR_INVALID_STATE if the model is in another process
   */
  chat(options: ChatOptions = {}): Chat {
    checkOptions(options, CHAT_OPTIONS)
    return startChat(
      (messages, sent, slot) => this.#start(messages, sent, slot),
      this.#use(),
      withoutUndefined(options),
    )
  }

  /** Frees the model. Active runs fail with ERR_MODEL_DISPOSED. Further calls have no effect. */
  dispose(): Promise<void> {
    this.#disposing ??= settle(() => this.#native.dispose())
    return this.#disposing
  }

  /** Same as {@link Model.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** @internal */
  [INSPECT](): string {
    const { bits } = this.quantization ?? {}
    const [size, unit] = this.parameterCount < 1e9 ? [1e6, 'M'] : [1e9, 'B']
    const count = `${Number((this.parameterCount / size).toPrecision(3))}${unit}`
    const facts = [
      this.modelType,
      `${count} parameters`,
      ...(bits === undefined ? [] : [`${bits} bits`]),
      this.#disposing === undefined ? this.device : 'disposed',
    ]
    return `Model '${this.id}' (${facts.join(', ')})`
  }

  #use(): NativeModel {
    if (this.#disposing === undefined) return this.#native
    throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the model has been disposed')
  }

  #start(prompt: Prompt, options: GenerateOptions, slot?: NativeSlot): NativeGeneration {
    const native = this.#use()
    if (options.continueFinalMessage) checkContinuable(prompt)
    const input = toNativePrompt(prompt, options.raw ?? false, this.#info)
    return native.generate(input, toRunOptions(options, this.#info), slot)
  }
}
