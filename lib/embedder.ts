// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from './errors'
import { findFiles, loadFiles } from './load'
import { LoadedModel } from './loaded'
import type { LocalModel, NativeModelInfo } from './native'
import { checkOptions, EMBED_OPTIONS, EMBEDDER_OPTIONS, show } from './options'
import { encodeTexts, readTexts, toTexts } from './reading'
import { readPooling, type Pooling } from './sentence-transformers'
import { didYouMean } from './suggest'
import type { EmbedderOptions, EmbedOptions } from './types'

/**
 * Loads a model that makes embeddings: a decoder of a supported architecture, whose modules.json and what that names say how,
 * as sentence-transformers has them.
 *
 * @param idOrPath the path of a folder, or `owner/name` on the Hub if no such folder exists
 * @throws what `loadModel` throws; ERR_MODEL_FILE_MISSING for a model without modules.json, if `pooling` is not given;
 *   ERR_MODEL_UNSUPPORTED if it makes embeddings in another way than those that are supported, or none at all
 */
export async function loadEmbedder(
  idOrPath: string,
  options: EmbedderOptions = {},
): Promise<Embedder> {
  const checked = checkOptions(options, EMBEDDER_OPTIONS)
  const files = await findFiles(idOrPath, checked)
  const pooling = await readPooling(files.path, checked.pooling)
  const native = await loadFiles(files, checked, true)
  const info = native.info()
  const { contextLength = Math.min(info.contextLength, pooling.maxTokens) } = checked
  return new Embedder(idOrPath, native, { ...info, contextLength }, pooling)
}

/**
 * A loaded model that makes embeddings. Dispose of it when done, for example with
 * `await using embedder = await loadEmbedder(…)`.
 */
export class Embedder extends LoadedModel {
  /** Number of dimensions of an embedding. */
  readonly dimensions: number
  /** What the model was trained to find before a text, by its name, for example `query`. */
  readonly prompts: Readonly<Record<string, string>>
  readonly #native: LocalModel
  readonly #pooling: Pooling

  /** @internal Made by `loadEmbedder`. */
  constructor(id: string, native: LocalModel, info: NativeModelInfo, pooling: Pooling) {
    super('Embedder', id, native, info)
    this.dimensions = info.hiddenSize
    this.prompts = pooling.prompts
    this.#native = native
    this.#pooling = pooling
  }

  /**
   * Returns an embedding of length 1 for each text, in their order. The texts are read one after the other; other models, and
   * other calls of this one, take turns with them.
   *
   * @throws ERR_INVALID_ARG_VALUE or ERR_OUT_OF_RANGE, naming the text or option; ERR_CONTEXT_OVERFLOW, before any text is read,
   *   with the number of the text as `details.index`; ERR_INSUFFICIENT_MEMORY; ERR_QUEUE_FULL; ABORT_ERR; ERR_MODEL_DISPOSED
   */
  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    return (await this.embedAndCount(texts, options)).embeddings
  }

  /** @internal Also returns the number of tokens that were read. */
  async embedAndCount(
    texts: readonly string[],
    options: EmbedOptions = {},
  ): Promise<{ embeddings: Float32Array[]; tokens: number }> {
    const {
      dimensions = this.dimensions,
      prompt: name,
      signal,
    } = checkOptions(options, EMBED_OPTIONS)
    const checked = toTexts('texts', texts)
    if (dimensions > this.dimensions)
      throw outOfRange('dimensions', `expected at most ${this.dimensions}, got ${dimensions}`)
    const prompt = this.#promptOf(name)
    this.checkLoaded()
    const encoding = {
      name: 'texts',
      addSpecialTokens: true,
      limit: this.contextLength,
      signal,
    }
    const prompted = checked.map((text) => `${prompt}${text}`)
    const encoded = await encodeTexts(this.#native, prompted, encoding)
    const { mode, includesPrompt } = this.#pooling
    const skip = mode === 'mean' && !includesPrompt ? await this.#countTokens(prompt) : 0
    const readout = mode === 'mean' ? { type: 'mean' as const, skip } : { type: 'last' as const }
    const numbers = await readTexts(this.#native, encoded, readout, signal)
    return {
      embeddings: numbers.map((vector) => normalize(vector.slice(0, dimensions))),
      tokens: encoded.reduce((sum, { length }) => sum + length, 0),
    }
  }

  #promptOf(name = this.#pooling.defaultPrompt): string {
    if (name === undefined) return ''
    const prompt = Object.hasOwn(this.prompts, name) ? this.prompts[name] : undefined
    if (prompt !== undefined) return prompt
    const names = Object.keys(this.prompts)
    const known = names.length === 0 ? 'it has none' : `they are ${names.join(', ')}`
    throw invalidArgument(
      'prompt',
      `the model has no prompt ${show(name)}; ${known}${didYouMean(name, names)}`,
    )
  }

  /** Number of tokens that texts begin with, as sentence-transformers counts them. */
  async #countTokens(prompt: string): Promise<number> {
    if (prompt === '') return 0
    const encoding = {
      name: 'prompt',
      addSpecialTokens: true,
      limit: this.contextLength,
      signal: undefined,
    }
    const [ids = []] = await encodeTexts(this.#native, [prompt], encoding)
    const [plain = []] = await encodeTexts(this.#native, [prompt], {
      ...encoding,
      addSpecialTokens: false,
    })
    // Without what the tokenizer puts behind every text.
    return ids.at(-1) === plain.at(-1) ? ids.length : ids.length - 1
  }
}

function normalize(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, number) => sum + number * number, 0))
  return vector.map((number) => number / Math.max(length, 1e-12))
}
