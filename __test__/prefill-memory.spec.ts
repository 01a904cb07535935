// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel } from 'node-mlx'
import { expect, test } from 'vitest'
import { makeModel } from './helpers/models'
import { floats } from './helpers/safetensors'

const VOCABULARY = 150_000
const WIDTH = 32
const CHUNK = 512
const CHUNKS = 8

/** The tiny model with the vocabulary of a large one. */
function makeWideModel(): string {
  const values = new Float32Array(VOCABULARY * WIDTH).fill(1)
  return makeModel({
    config: { vocab_size: VOCABULARY, tie_word_embeddings: true, max_position_embeddings: 10_000 },
    weights: (tensors) => {
      tensors.set('model.embed_tokens.weight', floats([VOCABULARY, WIDTH], values))
      tensors.delete('lm_head.weight')
    },
  })
}

const folder = makeWideModel()

// The peak is that of the process: nothing else may run in this file before.
test.each([
  ['one chunk', CHUNK, {}],
  ['chunks', CHUNK * CHUNKS, {}],
  ['chunks, and the last token alone', CHUNK * CHUNKS, { maxKvSize: CHUNK }],
])('a prompt of %s needs no logits but those of its last token', async (_name, length, options) => {
  await using model = await loadModel(folder)
  const prompt = Array.from({ length }, (_, index) => (index * 7919) % VOCABULARY)
  const { tokens, peakMemory } = await model.generate(prompt, {
    ...options,
    maxTokens: 2,
    ignoreEos: true,
    prefillStepSize: CHUNK,
  })
  expect(tokens).toHaveLength(2)
  const logitsOfAChunk = CHUNK * VOCABULARY * Float32Array.BYTES_PER_ELEMENT
  expect(peakMemory).toBeLessThan(logitsOfAChunk / 2)
})
