// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { NodeMlxError, settle } from './errors'
import { findFiles, loadFiles } from './load'
import { LoadedModel } from './loaded'
import type { LocalModel } from './native'
import { checkOptions, LOAD_OPTIONS, RANK_OPTIONS } from './options'
import { checkText, encodeTexts, readTexts, toTexts } from './reading'
import { listModules, unsupported } from './sentence-transformers'
import type { LoadOptions, RankedDocument, RankOptions } from './types'

// What Qwen3-Reranker was trained on: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B#transformers-usage
const INSTRUCTION = 'Given a web search query, retrieve relevant passages that answer the query'
const BEFORE =
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
  'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
const BEHIND = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'
/** What must be one token each. */
const TOKENS = ['yes', 'no', '<|im_start|>', '<|im_end|>', '<think>', '</think>']

/** What is the same for all documents. */
interface Frame {
  around: readonly [readonly number[], readonly number[]]
  yes: number
  no: number
}

/**
 * Loads a model that tells how relevant documents are: Qwen3-Reranker. Its files do not tell it from the language model that it
 * was made from: that loads, too, and ranks less well.
 *
 * @param idOrPath the path of a folder, or `owner/name` on the Hub if no such folder exists
 * @throws what `loadModel` throws; ERR_MODEL_UNSUPPORTED if it is a model of another kind
 */
export async function loadReranker(idOrPath: string, options: LoadOptions = {}): Promise<Reranker> {
  const checked = checkOptions(options, LOAD_OPTIONS)
  const files = await findFiles(idOrPath, checked)
  const modules = await listModules(files.path)
  const names = modules?.map(({ name }) => name).join(', ') ?? ''
  if (!/^(?:Transformer, LogitScore)?$/u.test(names))
    throw unsupported(`a model of ${names} is not supported as a reranker`)
  const native = await loadFiles(files, checked)
  try {
    return new Reranker(idOrPath, native, await readFrame(native))
  } catch (error) {
    await native.dispose()
    throw error
  }
}

/**
 * A loaded model that ranks documents. Dispose of it when done, for example with
 * `await using reranker = await loadReranker(…)`.
 */
export class Reranker extends LoadedModel {
  readonly #native: LocalModel
  readonly #frame: Frame

  /** @internal Made by `loadReranker`. */
  constructor(id: string, native: LocalModel, frame: Frame) {
    super('Reranker', id, native, native.info())
    this.#native = native
    this.#frame = frame
  }

  /**
   * Returns how relevant each document is to the query, the most relevant first. The documents are read one after the other;
   * other models, and other calls of this one, take turns with them.
   *
   * @throws ERR_INVALID_ARG_VALUE, naming the argument or option; ERR_CONTEXT_OVERFLOW, before any document is read, with the
   *   number of the document as `details.index`; ERR_INSUFFICIENT_MEMORY; ERR_QUEUE_FULL; ABORT_ERR; ERR_MODEL_DISPOSED
   */
  async rank(
    query: string,
    documents: readonly string[],
    options: RankOptions = {},
  ): Promise<RankedDocument[]> {
    const { instruction = INSTRUCTION, signal } = checkOptions(options, RANK_OPTIONS)
    checkText('query', query)
    const checked = toTexts('documents', documents)
    this.checkLoaded()
    const { around, yes, no } = this.#frame
    const bodies = checked.map(
      (document) => `<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${document}`,
    )
    const encoded = await encodeTexts(this.#native, bodies, {
      name: 'documents',
      addSpecialTokens: false,
      around,
      limit: this.contextLength,
      signal,
    })
    const readout = { type: 'logits' as const, tokens: [yes, no] }
    const logits = await readTexts(this.#native, encoded, readout, signal)
    return logits
      .map(([forYes = NaN, forNo = NaN], index) => ({
        index,
        // The probability of "yes", where nothing but "yes" and "no" is possible.
        score: 1 / (1 + Math.exp(forNo - forYes)),
      }))
      .toSorted((a, b) => b.score - a.score)
  }
}

async function readFrame(native: LocalModel): Promise<Frame> {
  const encode = async (text: string): Promise<number[]> => [
    ...(await settle(() => native.encode(text, false))),
  ]
  const ids: number[] = []
  for (const token of TOKENS) {
    const [id, ...others] = await encode(token)
    if (id === undefined || others.length > 0) {
      const problem = `the model is not supported as a reranker: its tokenizer has no token '${token}'`
      throw new NodeMlxError('ERR_MODEL_UNSUPPORTED', problem, { details: { token } })
    }
    ids.push(id)
  }
  const [yes = 0, no = 0] = ids
  return { around: [await encode(BEFORE), await encode(BEHIND)], yes, no }
}
