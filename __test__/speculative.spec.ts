// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Guesses save passes, and change nothing else. src/generate/step/verify/tests.rs compares more models and caches.

import { loadModel } from 'node-mlx'
import type { GenerateOptions, GenerationResult, Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeChatModel } from './helpers/chat-models'
import { demoModel, llama, makeModel } from './helpers/models'

const GREEDY = { maxTokens: 80, temperature: 0, cache: 'none' } as const

let model: Model
let other: Model

beforeAll(async () => {
  model = await loadModel(demoModel, { device: 'cpu' })
  other = await loadModel(llama, { device: 'cpu' })
})

afterAll(async () => {
  await model.dispose()
  await other.dispose()
})

/** Both kinds of guesses. */
function kinds(draft: Model = model): GenerateOptions['speculative'][] {
  return ['prompt-lookup', { draft }, { draft, tokens: 5 }]
}

/** What guesses must not change. */
function answer({
  timings: _,
  peakMemory: __,
  usage,
  logprobs,
  ...rest
}: GenerationResult): object {
  const { draftedTokens: ___, acceptedTokens: ____, ...counts } = usage
  return { ...rest, usage: counts, logprobs: logprobs?.map(({ id }) => id) }
}

test('a text that is repeated with one word changed takes less than half as many passes', async () => {
  const options = { temperature: 0, maxTokens: 200, reasoning: false } as const
  const ask = (animal: string) =>
    ({ role: 'user', content: `Tell me a story about a ${animal}.` }) as const
  const told = (text: string) =>
    [ask('fox'), { role: 'assistant', content: text } as const, ask('wolf')] as const
  const first = await model.generate([ask('fox')], options)
  const second = await model.generate(told(first.text), options)
  const messages = told(second.text.replaceAll('wolf', 'fox'))
  const { text, usage } = await model.generate(messages, {
    ...options,
    speculative: 'prompt-lookup',
  })
  expect(text).toBe(second.text)
  const { completionTokens, draftedTokens = 0, acceptedTokens = Infinity } = usage
  expect(acceptedTokens).toBeGreaterThan(completionTokens / 2)
  expect(acceptedTokens).toBeLessThanOrEqual(Math.min(draftedTokens, completionTokens))
})

test('the model as its own draft is always right, also with a temperature', async () => {
  for (const temperature of [0, 0.8]) {
    const { usage } = await model.generate('Tell me a story.', {
      ...GREEDY,
      temperature,
      seed: 5,
      ignoreEos: true,
      speculative: { draft: model, tokens: 4 },
    })
    expect(usage.draftedTokens).toBeGreaterThan(GREEDY.maxTokens / 2)
    expect(usage.acceptedTokens).toBe(usage.draftedTokens)
  }
})

test('without guesses, nothing is counted', async () => {
  const { usage } = await model.generate('Hello!', { ...GREEDY, maxTokens: 3 })
  expect(Object.keys(usage)).not.toContain('draftedTokens')
})

describe('the answer is that of a run without guesses', () => {
  const rows: Record<string, GenerateOptions> = {
    'a temperature and a seed': { temperature: 0.9, topP: 0.9, seed: 3 },
    penalties: { repetitionPenalty: 1.2, frequencyPenalty: 0.3 },
    'log-probabilities': { logprobs: 2 },
    'a stop string': { stop: ['One day'] },
    'reasoning with a budget': { reasoning: { budget: 10 } },
    'a budget and a seed': { reasoning: { budget: 10 }, temperature: 0.9, seed: 3 },
    'a quantized cache': { kvBits: 8, quantizedKvStart: 40 },
    'a bounded cache': { maxKvSize: 48 },
    XTC: { temperature: 1, xtcProbability: 0.5, seed: 8 },
    'few tokens': { maxTokens: 3 },
  }
  test.each(Object.entries(rows))('%s', async (_, options) => {
    const question = 'Tell me a story about a fox.'
    const all = { ...GREEDY, ...options }
    const plain = await model.generate(question, all)
    for (const speculative of kinds()) {
      const guessed = await model.generate(question, { ...all, speculative })
      expect(answer(guessed)).toEqual(answer(plain))
    }
  })

  test('with a draft model that is always wrong', async () => {
    const folder = makeChatModel('llama-gqa-4bit', 64)
    await using wrong = await loadModel(makeChatModel('qwen3_5-4bit', 64), { device: 'cpu' })
    await using main = await loadModel(folder, { device: 'cpu' })
    for (const draft of [wrong, main]) {
      const plain = await main.generate([1, 2, 3], { ...GREEDY, ignoreEos: true })
      const options = { ...GREEDY, ignoreEos: true, speculative: { draft } }
      expect(answer(await main.generate([1, 2, 3], options))).toEqual(answer(plain))
    }
  })

  test('in a chat, whose next answers start with the caches of both models', async () => {
    const turns = ['My name is Ada.', 'What is my name?', 'Tell me a story about a fox.']
    const plain = model.chat(GREEDY)
    for (const speculative of kinds()) {
      const chat = model.chat({ maxTokens: 60, temperature: 0, speculative })
      for (const turn of turns) {
        const { text, usage } = await chat.send(turn)
        expect(text).toBe((await plain.send(turn, { maxTokens: 60 })).text)
        if (turn !== turns[0]) expect(usage.cachedTokens).toBeGreaterThan(0)
      }
      plain.reset()
    }
  })
})

test('a run with guesses can be aborted, and keeps what it has', async () => {
  const controller = new AbortController()
  const options = { ...GREEDY, ignoreEos: true, maxTokens: 1500 }
  for (const speculative of kinds()) {
    const run = model.generate('Tell me a story.', { ...options, speculative, onAbort: 'keep' })
    for await (const { text } of run) if (text !== '') break
    expect((await run).finishReason).toBe('aborted')
  }
  controller.abort()
  const { signal } = controller
  const aborted = model.generate('Hello!', { signal, speculative: 'prompt-lookup' })
  await expect(aborted).rejects.toThrow(expect.objectContaining({ code: 'ABORT_ERR' }))
})

test('disposing of the draft model ends the run', async () => {
  const draft = await loadModel(demoModel, { device: 'cpu' })
  const options = { ...GREEDY, ignoreEos: true, maxTokens: 1900 }
  const run = model.generate('Tell me a story.', { ...options, speculative: { draft } })
  await run[Symbol.asyncIterator]().next()
  await draft.dispose()
  await expect(run).rejects.toThrow(expect.objectContaining({ code: 'ERR_MODEL_DISPOSED' }))
  const again = model.generate('Hello!', { speculative: { draft } })
  await expect(again).rejects.toThrow(expect.objectContaining({ code: 'ERR_MODEL_DISPOSED' }))
})

test('options that do not go together, and drafts that do not fit, are refused by name', async () => {
  const bad = (speculative: unknown, options: GenerateOptions = {}) =>
    model.generate('Hello!', { ...options, speculative: speculative as never })
  const rows: [unknown, GenerateOptions, RegExp][] = [
    ['magic', {}, /^speculative: expected 'prompt-lookup' or/u],
    [{ draft: model, token: 1 }, {}, /^speculative: expected/u],
    [{}, {}, /^speculative\.draft: expected a model, got undefined/u],
    [{ draft: {} }, {}, /^speculative\.draft: expected a model of loadModel/u],
    [{ draft: model, tokens: 0 }, {}, /^speculative\.tokens: /u],
    [{ draft: model, tokens: 65 }, {}, /^speculative\.tokens: /u],
    [{ draft: other }, {}, /^speculative\.draft: has another vocabulary/u],
    [
      'prompt-lookup',
      { schema: { type: 'string' } },
      /^speculative: cannot be combined with schema/u,
    ],
    ['prompt-lookup', { regex: /a+/u }, /^speculative: cannot be combined with regex/u],
    [{ draft: model }, { strictTools: true }, /^speculative: cannot be combined with strictTools/u],
  ]
  for (const [speculative, options, message] of rows)
    await expect(bad(speculative, options)).rejects.toThrow(message)
})

test('a saved chat keeps the kind of guesses, but no model', async () => {
  const path = `${makeModel()}/chat.safetensors`
  for (const [speculative, drafted] of [
    ['prompt-lookup', true],
    [{ draft: model }, false],
  ] as const) {
    const chat = model.chat({ ...GREEDY, maxTokens: 8, speculative })
    await chat.send('Hello!')
    await chat.save(path)
    const { usage } = await model.chat({ restore: path }).send('Hello!')
    expect('draftedTokens' in usage).toBe(drafted)
  }
})
