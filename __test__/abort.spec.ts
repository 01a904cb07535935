// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `onAbort: 'keep'`: a run that is stopped ends with the answer so far.

import { loadModel, type Generation, type Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { demoModel, makeLongModel } from './helpers/models'

// Without caches: a run that starts with one may have brought a token before it is stopped.
const ENDLESS = {
  maxTokens: 90_000,
  ignoreEos: true,
  temperature: 0,
  onAbort: 'keep',
  cache: 'none',
} as const

let model: Model
let demo: Model
beforeAll(async () => {
  model = await loadModel(makeLongModel())
  demo = await loadModel(demoModel)
})
afterAll(async () => {
  await model.dispose()
  await demo.dispose()
})

/** Stops a run after some chunks, in one of the ways in which one can. */
type Stop = (generation: Generation, controller: AbortController) => Promise<void>

async function read(generation: Generation, count: number): Promise<void> {
  const iterator = generation[Symbol.asyncIterator]()
  for (let index = 0; index < count; index += 1) await iterator.next()
}

const STOPS: [string, Stop][] = [
  [
    'the signal',
    async (generation, controller) => {
      await read(generation, 5)
      controller.abort()
    },
  ],
  [
    'cancel',
    async (generation) => {
      await read(generation, 5)
      generation.cancel()
    },
  ],
  [
    'leaving a loop',
    async (generation) => {
      let chunks = 0
      for await (const _ of generation) {
        chunks += 1
        if (chunks === 5) break
      }
    },
  ],
  [
    'a stream that is cancelled',
    async (generation) => {
      const reader = generation.toReadableStream().getReader()
      for (let index = 0; index < 5; index += 1) await reader.read()
      await reader.cancel()
    },
  ],
]

describe.each(STOPS)('a run that is stopped by %s', (_, stop) => {
  test('resolves with the answer so far', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const generation = model.generate([1, 2, 3], { ...ENDLESS, signal, logprobs: true })
    await stop(generation, controller)
    const result = await generation
    expect(result.finishReason).toBe('aborted')
    expect(result.tokens.length).toBeGreaterThanOrEqual(5)
    expect(result.tokens.length).toBeLessThan(ENDLESS.maxTokens)
    expect(result.logprobs).toHaveLength(result.tokens.length)
    expect(result.usage).toEqual({
      promptTokens: 3,
      cachedTokens: 0,
      completionTokens: result.tokens.length,
      reasoningTokens: 0,
    })
    for (const time of Object.values(result.timings)) expect(time).toBeGreaterThan(0)
    const whole = await model.generate([1, 2, 3], {
      ...ENDLESS,
      maxTokens: result.tokens.length,
    })
    expect({ text: result.text, tokens: result.tokens }).toEqual({
      text: whole.text,
      tokens: whole.tokens,
    })
    expect(whole.finishReason).toBe('length')
  })

  test('leaves its answer in the chat, which goes on from its cache', async () => {
    const controller = new AbortController()
    const chat = model.chat({ ...ENDLESS, cache: 'auto' })
    const generation = chat.send('hello', { signal: controller.signal })
    await stop(generation, controller)
    const { text, usage } = await generation
    expect(chat.messages).toEqual([
      { role: 'user', content: 'hello' },
      { role: 'assistant', content: text },
    ])
    const next = await chat.send('and?', { maxTokens: 4 })
    expect(next.finishReason).toBe('length')
    expect(next.usage.cachedTokens).toBeGreaterThanOrEqual(usage.promptTokens)
    expect(chat.messages).toHaveLength(4)
  })
})

test('iterators end with the answer, without an error', async () => {
  const controller = new AbortController()
  const generation = model.generate([1], { ...ENDLESS, signal: controller.signal })
  let text = ''
  for await (const chunk of generation) {
    text += chunk.text
    if (text.length > 20) controller.abort()
  }
  const result = await generation
  expect(result).toMatchObject({ finishReason: 'aborted', text })
  controller.abort()
  generation.cancel()
  expect(await generation).toBe(result)
})

test('a run that ends by itself is not aborted', async () => {
  const controller = new AbortController()
  const { signal } = controller
  const result = await model.generate([1], { ...ENDLESS, maxTokens: 5, signal })
  controller.abort()
  expect(result.finishReason).toBe('length')
})

describe('before the first token', () => {
  // Seconds are between the start of a run and its first token: this thread may have to wait meanwhile.
  const text = 'hello '.repeat(2000)

  test.each<[string, (options: object) => Generation]>([
    ['of a run', (options) => model.generate(text, { ...ENDLESS, ...options })],
    ['of a chat', (options) => model.chat(ENDLESS).send(text, options)],
    [
      'of token ids',
      (options) => model.generate(new Uint32Array(5000), { ...ENDLESS, ...options }),
    ],
  ])('%s, the answer is empty', async (_, start) => {
    const controller = new AbortController()
    const { signal } = controller
    const waiting = start({ signal, prefillStepSize: 1 })
    controller.abort()
    const late = start({ signal })
    const cancelled = start({ prefillStepSize: 1 })
    cancelled.cancel()
    for (const generation of [waiting, late, cancelled]) {
      const result = await generation
      expect(result).toMatchObject({ finishReason: 'aborted', text: '', tokens: [], toolCalls: [] })
      expect(result.usage).toMatchObject({ completionTokens: 0, cachedTokens: 0 })
      expect(result.usage.promptTokens).toBeGreaterThan(2000)
      const { queueMs, ...timings } = result.timings
      expect(queueMs).toBeGreaterThanOrEqual(0)
      expect(new Set(Object.values(timings))).toEqual(new Set([0]))
    }
  })

  test('the chat stays as it was', async () => {
    const chat = model.chat(ENDLESS)
    const generation = chat.send('hello', { signal: AbortSignal.abort() })
    await expect(generation).resolves.toMatchObject({ finishReason: 'aborted' })
    expect(chat.messages).toEqual([])
    expect((await chat.send('hello', { maxTokens: 3 })).finishReason).toBe('length')
  })

  test('invalid arguments are still refused', async () => {
    const signal = AbortSignal.abort()
    const code = 'ERR_INVALID_ARG_VALUE'
    await expect(model.generate('', { ...ENDLESS, signal })).rejects.toMatchObject({ code })
    await expect(model.generate('a', { onAbort: 'stop' as never })).rejects.toMatchObject({ code })
    await expect(model.chat().send('a', { onAbort: 1 as never })).rejects.toMatchObject({ code })
  })
})

test('the chat takes the next message once the answer has ended', async () => {
  const controller = new AbortController()
  const chat = model.chat(ENDLESS)
  const generation = chat.send('hello', { signal: controller.signal })
  await read(generation, 3)
  controller.abort()
  await expect(chat.send('too early')).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
  await generation
  expect(chat.messages).toHaveLength(2)
})

test.each<[string, (chat: ReturnType<Model['chat']>) => void, number]>([
  ['editing', (chat) => (chat.messages = [{ role: 'user', content: 'other' }]), 1],
  ['resetting', (chat) => chat.reset(), 0],
  ['disposing of', (chat) => chat.dispose(), 2],
])('%s a chat leaves out the answer that it stops', async (_, change, length) => {
  const chat = model.chat(ENDLESS)
  await chat.send('hello', { maxTokens: 3 })
  const generation = chat.send('a question')
  await read(generation, 3)
  change(chat)
  expect(chat.messages).toHaveLength(length)
  expect((await generation).finishReason).toBe('aborted')
  expect(chat.messages).toHaveLength(length)
})

test('a model that is disposed of keeps nothing', async () => {
  const other = await loadModel(makeLongModel())
  const generation = other.generate([1], ENDLESS)
  await read(generation, 3)
  await other.dispose()
  await expect(generation).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
})

test('reasoning is kept, and text that was held back', async () => {
  // Without the token that ends it, it goes on until it is stopped.
  const [end = 0] = await demo.tokenizer.encode('</think>')
  const endless = { maxTokens: 1500, ignoreEos: true, logitBias: { [end]: -100 } }
  const chat = demo.chat({ ...endless, temperature: 0, reasoning: true, onAbort: 'keep' })
  const generation = chat.send('What is 12 plus 7?')
  await read(generation, 3)
  generation.cancel()
  const { reasoning, usage, tokens } = await generation
  expect(reasoning).not.toBe('')
  expect(usage.reasoningTokens).toBe(tokens.length)
  expect(chat.messages[1]).toEqual({ role: 'assistant', content: '', reasoning })
})
