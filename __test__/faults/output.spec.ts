// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { expectCodes, inChild } from '../helpers/child'
import { makeModel } from '../helpers/models'
import { floats } from '../helpers/safetensors'
import { makeScriptedModel, type Piece, type Scripted } from '../helpers/scripted-model'

test('row 33: non-finite logits are an error, never a token', async () => {
  const withHead = (value: number) =>
    makeModel({
      weights: (tensors) => {
        const head = new Float32Array(288 * 32)
        for (let row = 0; row < 288; row += 1) head[row * 32] = value
        tensors.set('lm_head.weight', floats([288, 32], head))
      },
    })
  const folders = { nan: withHead(NaN), infinite: withHead(-Infinity) }
  const { tokens, ...outcomes } = await inChild(async ({ load, outcome }, paths) => {
    let seen = 0
    const run = async (path: string, temperature: number) => {
      const model = await load(path)
      const generation = model.generate([1, 2, 3], { temperature, maxTokens: 4 })
      return outcome(async () => {
        for await (const chunk of generation) seen += chunk.tokens.length
      })
    }
    return {
      'nan, greedy': await run(paths.nan, 0),
      'nan, sampled': await run(paths.nan, 1),
      'infinite, greedy': await run(paths.infinite, 0),
      'infinite, sampled': await run(paths.infinite, 1),
      tokens: seen,
    }
  }, folders)
  expectCodes(outcomes, 'ERR_NON_FINITE_LOGITS')
  expect(tokens).toBe(0)
})

/** The chunks' texts, the result and the tokens decoded whole, of a model that says these pieces. */
async function say(
  scripted: Scripted,
  options: object = {},
): Promise<{
  chunks: string[]
  text: string
  decoded: string
  stopString?: string
  reason: string
}> {
  return inChild(
    async ({ load }, { folder, prompt, settings }) => {
      const model = await load(folder)
      const generation = model.generate(prompt, { temperature: 0, maxTokens: 40, ...settings })
      const chunks: string[] = []
      for await (const chunk of generation) chunks.push(chunk.text)
      const { text, tokens, stopString, finishReason } = await generation
      const decoded = await model.tokenizer.decode(tokens, { skipSpecialTokens: true })
      return { chunks, text, decoded, reason: finishReason, ...(stopString && { stopString }) }
    },
    { ...scripted, settings: options },
  )
}

const SPLIT: Record<string, Piece[]> = {
  'an emoji': ['a', [0xf0, 0x9f], [0xa6], [0x80], 'b'],
  'Chinese characters': [
    [0xe6, 0xbc],
    [0xa2, 0xe5],
    [0xad, 0x97],
  ],
  'a family joined by ZWJ': [
    [0xf0, 0x9f],
    [0x91, 0xa8, 0xe2],
    [0x80, 0x8d, 0xf0],
    [0x9f, 0x91, 0xa9],
    [0xe2, 0x80],
    [0x8d, 0xf0, 0x9f],
    [0x91, 0xa7],
  ],
  'spaces and line ends': [' one', ' two', '\n', '  three', ' '],
}

test.each(Object.keys(SPLIT))('row 34: %s, split over tokens, arrives whole', async (name) => {
  const pieces = SPLIT[name] ?? []
  const expected = Buffer.concat(pieces.map((piece) => Buffer.from(piece as string))).toString()
  const { chunks, text, decoded, reason } = await say(makeScriptedModel(pieces))
  expect(text).toBe(expected)
  expect(decoded).toBe(expected)
  expect(chunks.join('')).toBe(expected)
  expect(chunks.join('')).not.toContain('\uFFFD')
  expect(reason).toBe('stop')
})

test('row 34: an answer that ends inside a character is flushed once', async () => {
  const { chunks, text, decoded } = await say(makeScriptedModel(['ok', [0xf0, 0x9f]]))
  expect(text).toBe(decoded)
  expect(chunks.join('')).toBe(text)
  expect(text).toMatch(/^ok\uFFFD+$/u)
})

test('row 35: a stop string is never emitted, also across chunks', async () => {
  const scripted = makeScriptedModel(['one ', 'ST', 'O', 'P', ' two'])
  const { chunks, text, stopString, reason } = await say(scripted, { stop: ['STOP', 'never'] })
  expect(text).toBe('one ')
  expect(chunks.join('')).toBe('one ')
  expect(stopString).toBe('STOP')
  expect(reason).toBe('stop')
})

test('row 35: an incomplete stop string is emitted at the end', async () => {
  const { text, chunks } = await say(makeScriptedModel(['one ', 'ST', 'O']), { stop: ['STOP'] })
  expect(text).toBe('one STO')
  expect(chunks.join('')).toBe('one STO')
})
