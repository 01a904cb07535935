// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { NodeMlxError, settle } from './errors'
import type { NativeModel, NativeModelInfo } from './native'
import { INSPECT } from './symbols'
import type { Quantization } from './types'

/** What all loaded models have. */
export abstract class LoadedModel {
  /** The `idOrPath` that the model was loaded by. */
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
  readonly #kind: string
  readonly #native: Pick<NativeModel, 'dispose'>
  readonly #memoryUsage: number
  #disposing: Promise<void> | undefined

  /** @internal */
  constructor(
    kind: string,
    id: string,
    native: Pick<NativeModel, 'dispose'>,
    info: NativeModelInfo,
  ) {
    this.id = id
    this.path = info.path
    this.modelType = info.modelType
    this.contextLength = info.contextLength
    this.vocabSize = info.vocabSize
    this.parameterCount = info.parameterCount
    this.quantization = info.quantization
    this.device = info.device
    this.#kind = kind
    this.#native = native
    this.#memoryUsage = info.memoryUsage
  }

  /** Bytes that the weights occupy; 0 once the model is disposed. */
  get memoryUsage(): number {
    return this.#disposing === undefined ? this.#memoryUsage : 0
  }

  /** Frees the model. Active runs fail with ERR_MODEL_DISPOSED. Further calls have no effect. */
  dispose(): Promise<void> {
    this.#disposing ??= settle(() => this.#native.dispose())
    return this.#disposing
  }

  /** Same as `dispose`. */
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
    return `${this.#kind} '${this.id}' (${facts.join(', ')})`
  }

  /** @internal */
  protected checkLoaded(): void {
    if (this.#disposing !== undefined)
      throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the model has been disposed')
  }
}
