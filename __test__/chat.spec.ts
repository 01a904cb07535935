// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel, memoryUsage, setChatCacheLimit } from 'node-mlx'
import type { Chat, GenerationResult, Message, Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { letters, makeChatModel } from './helpers/chat-models'
import { assistant, expectSame, user } from './helpers/conversations'
import { demoModel, makeLongModel } from './helpers/models'
import { generator } from './helpers/random'

// `.ci/run` asks for more.
const SEQUENCES = Number(process.env['TEST_SEQUENCES'] ?? 60)
const SHORT = { maxTokens: 6, temperature: 0 }
const ENDLESS = { maxTokens: 90_000, ignoreEos: true, temperature: 0 }

let model: Model

beforeAll(async () => {
  model = await loadModel(makeLongModel(), { device: 'cpu' })
})

afterAll(async () => {
  await model.dispose()
})

/** Sends, and expects what a run without a cache gives. */
async function sendAndCompare(
  of: Model,
  chat: Chat,
  text: string,
  options: { maxTokens: number; temperature: number },
): Promise<GenerationResult> {
  const asked = [...chat.messages, user(text)]
  const result = await chat.send(text, options)
  const fresh = await of.generate(asked, { ...options, cache: 'none' })
  expectSame(result, fresh)
  expect(chat.messages).toEqual([...asked, assistant(result.text)])
  return result
}

test('the demo model answers as without a cache, but processes only new tokens', async () => {
  await using demo = await loadModel(demoModel)
  using chat = demo.chat()
  const options = { maxTokens: 60, temperature: 0 }
  const first = await sendAndCompare(demo, chat, 'My name is Ada.', options)
  expect(first.usage.cachedTokens).toBe(0)
  const second = await sendAndCompare(demo, chat, 'What is my name?', options)
  expect(second.text).toContain('Ada')
  expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens)
  const third = await sendAndCompare(demo, chat, 'What is the capital of France?', options)
  expect(third.usage.cachedTokens).toBeGreaterThan(second.usage.cachedTokens)
})

describe('conversations edited, forked and reset at random get the same tokens as fresh runs', () => {
  test.each([
    { name: 'llama', size: 0, sequences: SEQUENCES, reused: 0.4 },
    { name: 'gemma3_text-4bit', size: 96, sequences: 20, reused: 0.2 },
    { name: 'qwen3_5-4bit', size: 64, sequences: 20, reused: 0.2 },
    { name: 'llama4_text-4bit', size: 64, sequences: 10, reused: 0.2 },
  ])('$name', async ({ name, size, sequences, reused }) => {
    await using tested = await loadModel(size === 0 ? makeLongModel() : makeChatModel(name, size), {
      device: 'cpu',
    })
    const random = generator(7)
    const text = (): string =>
      size === 0
        ? (['yes', 'no', 'and then?', 'ünï'][random(4)] ?? '')
        : letters(...Array.from({ length: 1 + random(4) }, () => 3 + random(size - 3)))
    const totals = { prompt: 0, cached: 0 }
    for (let sequence = 0; sequence < sequences; sequence += 1) {
      const chats = [
        tested.chat({ messages: random(2) === 0 ? [] : [user(text()), assistant(text())] }),
      ]
      for (let step = 0; step < 3; step += 1) {
        const chat = chats[random(chats.length)] as Chat
        const { messages } = chat
        const kind = random(8)
        if (kind === 0) chats.push(chat.fork())
        else if (kind === 1) chat.reset()
        else if (kind === 2) chat.messages = messages.slice(0, 2 * random(messages.length / 2 + 1))
        else if (kind === 3 && messages.length > 0) {
          const index = random(messages.length)
          chat.messages = messages.with(index, { ...(messages[index] as Message), content: text() })
        }
        const options = { maxTokens: 1 + random(4), temperature: 0 }
        const { usage } = await sendAndCompare(tested, chat, text(), options)
        totals.prompt += usage.promptTokens
        totals.cached += usage.cachedTokens
      }
      for (const chat of chats) chat.dispose()
    }
    expect(totals.cached / totals.prompt).toBeGreaterThan(reused)
  })
})

describe('messages', () => {
  test('begin with the initial ones, and both sides are added once an answer is complete', async () => {
    const messages: Message[] = [{ role: 'system', content: 'be brief' }]
    const chat = model.chat({ messages })
    expect(chat.messages).toEqual(messages)
    const generation = chat.send('hello', SHORT)
    expect(chat.messages).toEqual(messages)
    const { text } = await generation
    expect(chat.messages).toEqual([...messages, user('hello'), assistant(text)])
  })

  test('are complete at the end of a loop, and without any reader', async () => {
    const chat = model.chat(SHORT)
    let text = ''
    for await (const chunk of chat.send('hello')) text += chunk.text
    expect(chat.messages).toEqual([user('hello'), assistant(text)])
    void chat.send('again')
    await expect.poll(() => chat.messages.length).toBe(4)
  })

  test('are a copy that cannot be changed', async () => {
    const messages = [user('hello')]
    const chat = model.chat({ messages })
    ;(messages[0] as { content: string }).content = 'changed'
    messages.push(assistant('hi'))
    expect(chat.messages).toEqual([user('hello')])
    expect(() => (chat.messages as Message[]).push(user('more'))).toThrow(TypeError)
  })

  test('any role can be sent', async () => {
    const chat = model.chat(SHORT)
    const message: Message = { role: 'tool', content: '20 degrees' }
    const { text } = await chat.send(message)
    expect(chat.messages).toEqual([message, assistant(text)])
  })
})

test('options of the chat are defaults for send', async () => {
  const chat = model.chat({ ...SHORT, maxTokens: 3, ignoreEos: true })
  expect((await chat.send('a')).tokens).toHaveLength(3)
  expect((await chat.send('b', { maxTokens: 5 })).tokens).toHaveLength(5)
  expect((await chat.send('c', { maxTokens: undefined })).tokens).toHaveLength(3)
})

describe('an aborted answer leaves the chat unchanged, and its cache to the next one', () => {
  async function start(): Promise<{ chat: Chat; messages: readonly Message[] }> {
    const chat = model.chat({ temperature: 0, ignoreEos: true })
    await chat.send('hello', SHORT)
    return { chat, messages: chat.messages }
  }

  async function goOn(chat: Chat, messages: readonly Message[]): Promise<void> {
    expect(chat.messages).toEqual(messages)
    const { usage } = await sendAndCompare(model, chat, 'a long question?', SHORT)
    // All but the start of the assistant's turn, at least.
    expect(usage.cachedTokens).toBeGreaterThan(usage.promptTokens - 30)
  }

  test('by break', async () => {
    const { chat, messages } = await start()
    let count = 0
    for await (const _ of chat.send('a long question?', ENDLESS)) {
      count += 1
      if (count === 3) break
    }
    expect(count).toBe(3)
    await goOn(chat, messages)
  })

  test('by the signal', async () => {
    const { chat, messages } = await start()
    const controller = new AbortController()
    const generation = chat.send('a long question?', { ...ENDLESS, signal: controller.signal })
    await generation[Symbol.asyncIterator]().next()
    controller.abort()
    await goOn(chat, messages)
    await expect(generation).rejects.toMatchObject({ code: 'ABORT_ERR' })
    expect(chat.messages).toHaveLength(messages.length + 2)
  })

  test('by cancel, before it begins', async () => {
    const { chat, messages } = await start()
    const generation = chat.send('a long question?', ENDLESS)
    generation.cancel()
    expect(chat.messages).toEqual(messages)
    const { usage } = await sendAndCompare(model, chat, 'and?', SHORT)
    expect(usage.cachedTokens).toBeGreaterThan(0)
    await expect(generation).rejects.toMatchObject({ code: 'ABORT_ERR' })
  })

  test('by editing or resetting the chat', async () => {
    const { chat, messages } = await start()
    const edited = chat.send('a long question?', ENDLESS)
    chat.messages = messages.slice(0, 1)
    await expect(edited).rejects.toMatchObject({ code: 'ABORT_ERR' })
    expect(chat.messages).toEqual([user('hello')])
    const reset = chat.send('a long question?', ENDLESS)
    chat.reset()
    await expect(reset).rejects.toMatchObject({ code: 'ABORT_ERR' })
    expect(chat.messages).toEqual([])
    await sendAndCompare(model, chat, 'hello', SHORT)
  })
})

test('a quantized cache serves all answers of a chat', async () => {
  await using quantized = await loadModel(makeChatModel('llama-gqa-4bit', 64), { device: 'cpu' })
  const chat = quantized.chat({ ...SHORT, kvBits: 8, kvGroupSize: 32 })
  const { usage } = await chat.send(letters(10, 11))
  expect((await chat.send(letters(20, 21))).usage.cachedTokens).toBeGreaterThanOrEqual(
    usage.promptTokens,
  )
})

test('one answer at a time', async () => {
  const chat = model.chat(SHORT)
  const first = chat.send('one')
  const second = chat.send('two')
  await expect(second).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
  await first
  expect(chat.messages[0]).toEqual(user('one'))
  expect(chat.messages).toHaveLength(2)
})

test('a fork in the middle of an answer does not include it', async () => {
  const chat = model.chat({ temperature: 0 })
  await chat.send('one', SHORT)
  const before = chat.messages
  const answering = chat.send('two', ENDLESS)
  const fork = chat.fork()
  expect(fork.messages).toEqual(before)
  await sendAndCompare(model, fork, 'three', SHORT)
  answering.cancel()
})

test('a fork reuses the cache, and both are independent', async () => {
  const chat = model.chat({ messages: [{ role: 'system', content: 'be brief' }] })
  await chat.send('one', SHORT)
  const fork = chat.fork()
  for (const text of ['two', 'three', 'four']) {
    for (const [name, each] of Object.entries({ chat, fork })) {
      const { usage } = await sendAndCompare(model, each, text + name, SHORT)
      expect(usage.cachedTokens).toBeGreaterThan(usage.promptTokens / 2)
    }
  }
  fork.reset()
  expect(fork.messages).toEqual([{ role: 'system', content: 'be brief' }])
  const { usage } = await sendAndCompare(model, chat, 'five', SHORT)
  expect(usage.cachedTokens).toBeGreaterThan(usage.promptTokens / 2)
})

describe('invalid input is reported', () => {
  test.each([
    [{ messages: 'hello' }, 'ERR_INVALID_ARG_VALUE', 'messages'],
    [{ messages: [{ role: 'nobody', content: '' }] }, 'ERR_INVALID_ARG_VALUE', 'messages[0].role'],
    [{ raw: true }, 'ERR_INVALID_ARG_VALUE', 'raw'],
    [{ temperature: -1 }, 'ERR_OUT_OF_RANGE', 'temperature'],
  ])('by model.chat(%j)', (options, code, name) => {
    expect(() => model.chat(options as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(name) as string }) as Error,
    )
  })

  test.each([
    ['', {}, 'message'],
    [undefined, {}, 'messages[0]'],
    [{ role: 'user' }, {}, 'messages[0].content'],
    ['hello', { raw: true }, 'raw'],
    ['hello', null, 'options'],
  ])('by chat.send(%j, %j)', async (message, options, name) => {
    const chat = model.chat()
    await expect(chat.send(message as never, options as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining(name) as string,
    })
    expect(chat.messages).toEqual([])
    expect((await chat.send('hello', SHORT)).tokens.length).toBeGreaterThan(0)
  })

  test('by a failed assignment, which changes nothing', () => {
    const chat = model.chat({ messages: [user('hello')] })
    expect(() => {
      chat.messages = [{ role: 'user' } as Message]
    }).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }) as Error)
    expect(chat.messages).toEqual([user('hello')])
  })
})

describe('memory', () => {
  /** Two layers, keys and values, two heads of eight floats, 256 tokens. */
  const CACHE_BYTES = 2 * 2 * 2 * 8 * 4 * 256

  // Other tests' chats are garbage-collected whenever that happens.
  beforeAll(async () => {
    await setChatCacheLimit(await setChatCacheLimit(0))
  })

  async function active(): Promise<number> {
    return (await memoryUsage()).active
  }

  test('is freed by reset and dispose', async () => {
    const before = await active()
    const chat = model.chat(SHORT)
    await chat.send('hello')
    expect(await active()).toBeGreaterThanOrEqual(before + CACHE_BYTES)
    chat.reset()
    await expect.poll(active).toBe(before)
    await chat.send('hello')
    const fork = chat.fork()
    chat.dispose()
    expect(await active()).toBeGreaterThanOrEqual(before + CACHE_BYTES)
    fork.dispose()
    fork.dispose()
    await expect.poll(active).toBe(before)
    expect(fork.messages).toHaveLength(2)
    await expect(fork.send('more')).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
    expect(() => fork.fork()).toThrow('disposed')
  })

  test('is freed when a chat is reset during an answer', async () => {
    const before = await active()
    const chat = model.chat()
    const generation = chat.send('hello', ENDLESS)
    await generation[Symbol.asyncIterator]().next()
    chat.dispose()
    await expect(generation).rejects.toMatchObject({ code: 'ABORT_ERR' })
    await expect.poll(active).toBe(before)
  })

  test('is freed with the model', async () => {
    const before = await active()
    const other = await loadModel(makeLongModel(), { device: 'cpu' })
    const chat = other.chat(SHORT)
    await chat.send('hello')
    await other.dispose()
    await expect.poll(active).toBe(before)
    await expect(chat.send('hello')).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
    expect(() => other.chat()).toThrow('disposed')
    chat.dispose()
  })

  test('has a limit, at which the least recently used chat loses its cache', async () => {
    const before = await active()
    // A cache that began with a copy is a little larger.
    const limit = 2.5 * CACHE_BYTES
    const usual = await setChatCacheLimit(limit)
    expect(usual).toBeGreaterThan(limit)
    const [a, b, c] = [model.chat(SHORT), model.chat(SHORT), model.chat(SHORT)]
    /** Whether more is cached than all chats begin with. */
    const isKept = async (chat: Chat) => (await chat.send('more')).usage.cachedTokens > 20
    await a.send('aaaaa'.repeat(8))
    await b.send('bbbbb'.repeat(8))
    expect(await isKept(a)).toBe(true)
    await c.send('ccccc'.repeat(8))
    expect(await active()).toBeLessThanOrEqual(before + limit)
    expect(await isKept(b)).toBe(false)
    expect(await isKept(c)).toBe(true)
    expect(await setChatCacheLimit(0)).toBe(limit)
    await expect.poll(active).toBe(before)
    expect((await c.send('more')).usage.cachedTokens).toBe(0)
    await setChatCacheLimit(usual)
    await expect(setChatCacheLimit(-1)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    for (const chat of [a, b, c]) chat.dispose()
  })
})
