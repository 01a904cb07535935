// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs without a chat that start with the caches of others.

import { loadModel, memoryUsage, setChatCacheLimit } from 'node-mlx'
import type { GenerateOptions, GenerationResult, Message, Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { letters, makeChatModel } from './helpers/chat-models'
import { assistant, expectSame, user } from './helpers/conversations'
import { makeLongModel } from './helpers/models'
import { generator } from './helpers/random'

const SHORT = { maxTokens: 6, temperature: 0 }

let model: Model

beforeAll(async () => {
  model = await loadModel(makeLongModel(), { device: 'cpu' })
})

afterAll(async () => {
  await model.dispose()
})

/** Drops all caches. */
async function clear(): Promise<void> {
  await setChatCacheLimit(await setChatCacheLimit(0))
}

/** Generates, and expects what a run without a cache gives. */
async function generateAndCompare(
  of: Model,
  messages: readonly Message[],
  options: GenerateOptions,
): Promise<GenerationResult> {
  const result = await of.generate(messages, options)
  const fresh = await of.generate(messages, { ...options, cache: 'none' })
  expectSame(result, fresh)
  return result
}

describe('several conversations, in turns and at once, get the same tokens as fresh runs', () => {
  test.each([
    { name: 'llama', size: 0, sequences: 200, reused: 0.5 },
    { name: 'gemma3_text-4bit', size: 96, sequences: 30, reused: 0.2 },
    { name: 'qwen3_5-4bit', size: 64, sequences: 30, reused: 0.2 },
    { name: 'llama4_text-4bit', size: 64, sequences: 20, reused: 0.2 },
    { name: 'llama-gqa-4bit', size: 64, sequences: 20, reused: 0, kvBits: 8 },
    { name: 'llama-gqa-4bit', size: 64, sequences: 20, reused: 0, maxKvSize: 16 },
  ] as const)('$name, $kvBits, $maxKvSize', async (row) => {
    const { name, size, sequences, reused } = row
    await using tested = await loadModel(size === 0 ? makeLongModel() : makeChatModel(name, size), {
      device: 'cpu',
    })
    const lossy: GenerateOptions = {
      ...('kvBits' in row && { kvBits: row.kvBits, kvGroupSize: 32 }),
      ...('maxKvSize' in row && { maxKvSize: row.maxKvSize }),
    }
    const random = generator(11)
    const text = (): string =>
      size === 0
        ? (['yes', 'no', 'and then?', 'ünï'][random(4)] ?? '')
        : letters(...Array.from({ length: 1 + random(4) }, () => 3 + random(size - 3)))
    const totals = { prompt: 0, cached: 0 }
    const count = ({ usage }: GenerationResult): void => {
      totals.prompt += usage.promptTokens
      totals.cached += usage.cachedTokens
    }
    for (let sequence = 0; sequence < sequences; sequence += 1) {
      await clear()
      const system: Message[] = random(2) === 0 ? [] : [user(text()), assistant(text())]
      const conversations: Message[][] = [system]
      const chat = tested.chat({ messages: system, temperature: 0, ...lossy })
      for (let step = 0; step < 5; step += 1) {
        const options = { maxTokens: 1 + random(4), temperature: 0, ...lossy }
        let messages = conversations[random(conversations.length)] as Message[]
        const kind = random(8)
        if (kind === 0) messages = system
        else if (kind === 1) messages = messages.slice(0, 2 * random(messages.length / 2 + 1))
        else if (kind === 2 && messages.length > 0)
          messages = messages.with(random(messages.length), user(text()))
        if (kind === 3) {
          const asked = [...chat.messages, user(text())]
          const { content } = asked.at(-1) as { content: string }
          const answer = await chat.send(content, options)
          const fresh = await tested.generate(asked, { ...options, cache: 'none' })
          if (Object.keys(lossy).length === 0) expect(answer.tokens).toEqual(fresh.tokens)
          messages = [...chat.messages]
        } else if (kind === 4) {
          const all = Array.from({ length: 3 }, () => messages.concat(user(text())))
          const results = all.map((each) => generateAndCompare(tested, each, options))
          for (const result of await Promise.all(results)) count(result)
        }
        const asked = [...messages, user(text())]
        const result = await generateAndCompare(tested, asked, options)
        count(result)
        conversations.push([...asked, assistant(result.text)])
      }
      chat.dispose()
    }
    if (reused === 0) expect(totals.cached).toBe(0)
    else expect(totals.cached / totals.prompt).toBeGreaterThan(reused)
  })
})

test('a conversation goes on where it was', async () => {
  await clear()
  const messages = [user('hello')]
  const first = await generateAndCompare(model, messages, SHORT)
  expect(first.usage.cachedTokens).toBe(0)
  messages.push(assistant(first.text), user('and then?'))
  const { usage } = await generateAndCompare(model, messages, SHORT)
  expect(usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens)
  const again = await generateAndCompare(model, messages, SHORT)
  expect(again.usage.cachedTokens).toBe(again.usage.promptTokens - 1)
})

test('texts and token ids share caches, too', async () => {
  await clear()
  const ids = Array.from({ length: 30 }, (_, index) => index + 1)
  await model.generate(ids, SHORT)
  expect((await model.generate([...ids, 9], SHORT)).usage.cachedTokens).toBe(30)
  await model.generate('one two three', { ...SHORT, raw: true })
  const { usage } = await model.generate('one two three', { ...SHORT, raw: true })
  expect(usage.cachedTokens).toBe(usage.promptTokens - 1)
})

test("a run copies a chat's cache, and a chat starts with that of a run", async () => {
  await clear()
  const chat = model.chat(SHORT)
  const first = await chat.send('a long question?')
  const asked = [...chat.messages, user('and then?')]
  const { usage } = await generateAndCompare(model, asked, SHORT)
  expect(usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens)
  expect((await chat.send('no')).usage.cachedTokens).toBeGreaterThanOrEqual(
    first.usage.promptTokens,
  )
  const other = model.chat({ ...SHORT, messages: asked.slice(0, -1) })
  expect((await other.send('and then?')).usage.cachedTokens).toBe(usage.promptTokens - 1)
})

test('an aborted run leaves its cache', async () => {
  await clear()
  const messages = [user('a long question?')]
  for await (const _ of model.generate(messages, { temperature: 0, ignoreEos: true })) break
  const { usage } = await generateAndCompare(model, messages, SHORT)
  expect(usage.cachedTokens).toBe(usage.promptTokens - 1)
})

test("cache: 'none' neither reads nor keeps one, also in a chat", async () => {
  await clear()
  const before = (await memoryUsage()).active
  const none = { ...SHORT, cache: 'none' } as const
  await model.generate('hello', none)
  const chat = model.chat(none)
  await chat.send('hello')
  expect((await memoryUsage()).active).toBe(before)
  expect((await chat.send('more')).usage.cachedTokens).toBe(0)
  const { usage } = await chat.send('and then?', { cache: 'auto' })
  expect(usage.cachedTokens).toBe(0)
  expect((await chat.send('no')).usage.cachedTokens).toBe(0)
  expect((await chat.send('no', { cache: 'auto' })).usage.cachedTokens).toBeGreaterThanOrEqual(
    usage.promptTokens,
  )
})

test('caches are kept within the limit, and freed with the model', async () => {
  await clear()
  const before = (await memoryUsage()).active
  const other = await loadModel(makeLongModel(), { device: 'cpu' })
  const loaded = (await memoryUsage()).active
  /** Two layers, keys and values, two heads of eight floats, 256 tokens. */
  const bytes = 2 * 2 * 2 * 8 * 4 * 256
  // A cache that began with a copy is a little larger.
  const usual = await setChatCacheLimit(2.5 * bytes)
  for (const text of ['one', 'two', 'three', 'four']) await other.generate(text, SHORT)
  const kept = (await memoryUsage()).active - loaded
  expect(kept).toBeGreaterThanOrEqual(2 * bytes)
  expect(kept).toBeLessThanOrEqual(2.5 * bytes)
  const cached = async (text: string) => (await other.generate(text, SHORT)).usage
  const four = await cached('four')
  expect(four.cachedTokens).toBe(four.promptTokens - 1)
  await setChatCacheLimit(usual)
  await other.dispose()
  expect((await memoryUsage()).active).toBe(before)
})
