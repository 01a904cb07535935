// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel, type Model } from 'node-mlx'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { demoModel } from './helpers/models'

let model: Model

beforeAll(async () => {
  model = await loadModel(demoModel)
})

afterAll(async () => {
  await model.dispose()
})

test.each([
  ['What is the capital of France?', /Paris/u],
  ['What is the capital of Italy?', /Rome/u],
  ['Hello!', /\w+/u],
  ['Tell me a joke.', /\?.*!/su],
])('%s', async (question, expected) => {
  const { text, finishReason } = await model.generate(question, { maxTokens: 200, temperature: 0 })
  expect(text).toMatch(expected)
  expect(text).not.toContain('<|')
  expect(finishReason).toBe('stop')
})

test('it remembers earlier messages', async () => {
  const { text } = await model.generate(
    [
      { role: 'user', content: 'My name is Ada.' },
      { role: 'assistant', content: 'Nice to meet you, Ada!' },
      { role: 'user', content: 'What is my name?' },
    ],
    { maxTokens: 60, temperature: 0 },
  )
  expect(text).toContain('Ada')
})

test('the same seed tells the same story, another seed another one', async () => {
  const tell = async (seed: number) =>
    (await model.generate('Tell me a story.', { seed, temperature: 0.9, maxTokens: 120 })).text
  const [first, again, other] = [await tell(1), await tell(1), await tell(2)]
  expect(again).toBe(first)
  expect(other).not.toBe(first)
})
