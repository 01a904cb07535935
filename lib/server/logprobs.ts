// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Model } from '../model'
import type { Logprob, TokenLogprobs } from '../types'

/** A token and its log-probability, as OpenAI's API has them. */
export interface SpelledLogprob {
  token: string
  logprob: number
  bytes: number[] | null
}

/** The same for a token of the answer, with the most likely ones in its place. */
export interface SpelledTokenLogprobs extends SpelledLogprob {
  top_logprobs: SpelledLogprob[]
}

/** Spells tokens as the text that they stand for. */
export class Speller {
  readonly #model: Model
  readonly #known = new Map<number, Promise<string>>()

  constructor(model: Model) {
    this.#model = model
  }

  async spell(logprobs: readonly TokenLogprobs[]): Promise<SpelledTokenLogprobs[]> {
    return Promise.all(
      logprobs.map(async ({ top, ...own }) => ({
        ...(await this.#spell(own)),
        top_logprobs: await Promise.all(top.map((each) => this.#spell(each))),
      })),
    )
  }

  async #spell({ id, token, logprob }: Logprob): Promise<SpelledLogprob> {
    const known = this.#known.get(id) ?? this.#decode(id)
    this.#known.set(id, known)
    const text = await known
    // A part of a character has no text; the vocabulary has some name for it.
    if (text.includes('\uFFFD')) return { token, logprob, bytes: null }
    return { token: text, logprob, bytes: [...Buffer.from(text)] }
  }

  /** The text of a token within others: some tokenizers leave out the space that a text begins with. */
  async #decode(id: number): Promise<string> {
    const { tokenizer } = this.#model
    const [once, twice] = await Promise.all([tokenizer.decode([id]), tokenizer.decode([id, id])])
    return twice.slice(once.length)
  }
}
