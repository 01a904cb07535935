// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The text of an answer, out of its chunks.

import type { GenerationChunk } from './types'

/** The texts of the answer. `return` works at once, also while `next` waits, which that of a generator does not. */
export function toTexts(
  chunks: AsyncIterableIterator<GenerationChunk>,
): AsyncIterableIterator<string> {
  const texts: AsyncIterableIterator<string> = {
    next: async () => {
      for (;;) {
        const { value, done } = await chunks.next()
        if (done) return { value: undefined, done }
        if (value.type === 'text' && value.text !== '') return { value: value.text, done: false }
      }
    },
    return: async () => {
      await chunks.return?.()
      return { value: undefined, done: true }
    },
    [Symbol.asyncIterator]: () => texts,
  }
  return texts
}

/** Texts as a stream of UTF-8. Pages have no `ReadableStream.from` yet. */
export function toByteStream(texts: AsyncIterableIterator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await texts.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      await texts.return?.()
    },
  })
}
