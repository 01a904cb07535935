// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The parts of an answer, as other APIs have them: each text, each reasoning and each tool call begins, grows and ends.

import type { GenerationChunk, TokenLogprobs } from './types'

/** A part of an answer. */
export interface Part {
  type: 'text' | 'reasoning' | 'tool-call'
  /** Its place in the answer. */
  index: number
  /** What there is so far: the text, or a tool call's arguments as JSON. */
  text: string
  /** Of a text, if they were asked for. */
  logprobs: TokenLogprobs[]
  /** Of a tool call. */
  id: string
  /** Of a tool call. */
  name: string
  /** Whether it has ended. A tool call that turns out to be malformed ends without; its text follows as a part of its own. */
  isWhole: boolean
}

/** What happens to a part. */
export type PartEvent =
  | { type: 'start'; part: Part }
  | { type: 'end'; part: Part }
  | { type: 'delta'; part: Part; delta: string; logprobs: TokenLogprobs[] }

/** Turns the chunks of an answer to what happens to its parts. */
export async function* toPartEvents(
  chunks: AsyncIterable<GenerationChunk>,
): AsyncGenerator<PartEvent, void> {
  const parts = new Parts()
  for await (const chunk of chunks) yield* parts.accept(chunk)
  yield* parts.end()
}

class Parts {
  readonly #calls = new Map<number, Part>()
  #open: Part | undefined
  #count = 0
  /** Of tokens whose text comes with a later token, as it is a part of a character, or may be one of a stop string. */
  #logprobs: TokenLogprobs[] = [];

  *accept(chunk: GenerationChunk): Generator<PartEvent, void> {
    if (chunk.type === 'tool-call-delta') {
      const { index, id = '', name = '', arguments: delta } = chunk
      const call = this.#calls.get(index) ?? (yield* this.#startCall(index, id, name))
      yield* grow(call, delta)
    } else if (chunk.type === 'tool-call') {
      const { index, toolCall } = chunk
      const call =
        this.#calls.get(index) ?? (yield* this.#startCall(index, toolCall.id, toolCall.name))
      // Most formats stream their arguments; those of the others come at once.
      if (call.text === '') yield* grow(call, JSON.stringify(toolCall.arguments))
      call.isWhole = true
      this.#calls.delete(index)
      yield { type: 'end', part: call }
    } else {
      if (chunk.type === 'text') this.#logprobs.push(...(chunk.logprobs ?? []))
      if (chunk.text === '') return
      if (this.#open?.type !== chunk.type) {
        yield* this.end()
        this.#open = this.#make(chunk.type)
        yield { type: 'start', part: this.#open }
      }
      yield* grow(this.#open, chunk.text, this.#logprobs.splice(0))
    }
  }

  /** Ends all parts. */
  *end(): Generator<PartEvent, void> {
    if (this.#open !== undefined) {
      this.#open.isWhole = true
      yield { type: 'end', part: this.#open }
    }
    this.#open = undefined
    for (const part of this.#calls.values()) yield { type: 'end', part }
    this.#calls.clear()
  }

  *#startCall(index: number, id: string, name: string): Generator<PartEvent, Part> {
    if (this.#open !== undefined) yield* this.end()
    const part = this.#make('tool-call', id, name)
    this.#calls.set(index, part)
    yield { type: 'start', part }
    return part
  }

  #make(type: Part['type'], id = '', name = ''): Part {
    this.#count += 1
    return { type, index: this.#count - 1, text: '', logprobs: [], id, name, isWhole: false }
  }
}

function* grow(
  part: Part,
  delta: string,
  logprobs: TokenLogprobs[] = [],
): Generator<PartEvent, void> {
  if (delta === '') return
  part.text += delta
  part.logprobs.push(...logprobs)
  yield { type: 'delta', part, delta, logprobs }
}
