// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { loadModel, setChatCacheLimit } from 'node-mlx'
import type { Chat, ChatOptions, Message, Model } from 'node-mlx'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { letters, makeChatModel } from './helpers/chat-models'
import { user } from './helpers/conversations'
import { makeLongModel, makeModel, scratch } from './helpers/models'

const SHORT = { maxTokens: 6, temperature: 0 }

let model: Model
let file: string

beforeAll(async () => {
  model = await loadModel(makeLongModel(), { device: 'cpu' })
  file = join(scratch(), 'chat.safetensors')
})

// Whatever a chat starts with then comes from its file.
beforeEach(clear)

afterAll(async () => {
  await model.dispose()
})

async function clear(): Promise<void> {
  await setChatCacheLimit(await setChatCacheLimit(0))
}

async function saved(of = model, options: ChatOptions = SHORT): Promise<Chat> {
  const chat = of.chat(options)
  await chat.send('hello')
  await chat.send('and then?')
  await chat.save(file)
  return chat
}

describe('a restored chat goes on with the same tokens, from its cache', () => {
  test.each([
    ['llama-gqa-4bit', 64, {}],
    ['llama-gqa-4bit', 64, { kvBits: 8, kvGroupSize: 32 }],
    ['llama-gqa-4bit', 64, { maxKvSize: 16 }],
    ['gemma3_text-4bit', 96, {}],
    ['qwen3_5-4bit', 64, {}],
    ['llama4_text-4bit', 64, {}],
  ] as const)('%s of %i, %j', async (name, size, options) => {
    await using tested = await loadModel(makeChatModel(name, size), { device: 'cpu' })
    const chat = tested.chat({ ...SHORT, ...options })
    for (const id of [10, 20, 30]) await chat.send(letters(id, id + 1, id + 2, id + 3, id + 4))
    await chat.save(file)
    const expected = await chat.send(letters(40, 41))
    chat.dispose()
    await clear()
    const restored = tested.chat({ restore: file })
    const { tokens, usage } = await restored.send(letters(40, 41))
    expect(tokens).toEqual(expected.tokens)
    expect(usage.cachedTokens).toBe(expected.usage.cachedTokens)
    expect(usage.cachedTokens).toBeGreaterThan(usage.promptTokens / 2)
    expect(restored.messages).toEqual(chat.messages)
  })
})

test('messages, initial messages and options are kept', async () => {
  const tools = [{ name: 'weather', parameters: z.object({ city: z.string() }) }]
  const messages: Message[] = [{ role: 'system', content: 'be brief' }]
  const options: ChatOptions = {
    ...SHORT,
    tools,
    toolChoice: 'none',
    logitBias: new Map([[5, 1]]),
    signal: new AbortController().signal,
    onPromptProgress: () => {},
  }
  const chat = await saved(model, { ...options, messages, regex: /[a-z]{3}/u })
  const restored = model.chat({ restore: file })
  expect(restored.messages).toEqual(chat.messages)
  expect(Object.isFrozen(restored.messages)).toBe(true)
  const expected = await chat.send('more')
  const answer = await restored.send('more')
  expect([answer.text, answer.tokens]).toEqual([expected.text, expected.tokens])
  expect(answer.text).toMatch(/^[a-z]{3}$/u)
  expect((await restored.send('more', { regex: '[0-9]{2}' })).text).toMatch(/^\d{2}$/u)
  restored.reset()
  expect(restored.messages).toEqual(messages)
  const changed = model.chat({ restore: file, maxTokens: 1, regex: '[0-9]{2}' })
  expect((await changed.send('more')).tokens).toHaveLength(1)
})

test('a chat without a cache is saved without one, and so is one that is answering', async () => {
  const chat = model.chat({ ...SHORT, messages: [user('hello')] })
  await chat.save(file)
  expect(readFileSync(file).length).toBeLessThan(1000)
  await chat.send('more')
  const { messages } = chat
  const answering = chat.send('more', { maxTokens: 90_000, ignoreEos: true })
  await answering[Symbol.asyncIterator]().next()
  await chat.save(file)
  expect(model.chat({ restore: file }).messages).toEqual(messages)
  answering.cancel()
  await expect(answering).rejects.toMatchObject({ code: 'ABORT_ERR' })
})

test('another model takes the messages alone', async () => {
  const chat = await saved()
  const { messages } = chat
  chat.dispose()
  const changed = makeModel({
    from: model.path,
    weights: (tensors) => {
      const [tensor] = tensors.values()
      tensor?.data.set([(tensor.data[0] ?? 0) ^ 1])
    },
  })
  await using other = await loadModel(changed, { device: 'cpu' })
  await using same = await loadModel(makeLongModel(), { device: 'cpu' })
  const cached = async (of: Model): Promise<number> => {
    const restored = of.chat({ restore: file })
    expect(restored.messages).toEqual(messages)
    return (await restored.send('more')).usage.cachedTokens
  }
  expect(await cached(other)).toBe(0)
  expect(await cached(same)).toBeGreaterThan(20)
})

test('a file is replaced as a whole, and nothing else is left', async () => {
  const chat = await saved()
  const before = readdirSync(scratch())
  await Promise.all([chat.save(file), chat.save(file), chat.fork().save(file)])
  expect(readdirSync(scratch())).toEqual(before)
  expect(model.chat({ restore: file }).messages).toEqual(chat.messages)
  const failing = chat.save(join(scratch(), 'none', 'chat.safetensors'))
  await expect(failing).rejects.toMatchObject({ code: 'ERR_CHAT_FILE' })
  await expect(chat.save(scratch())).rejects.toMatchObject({ code: 'ERR_CHAT_FILE' })
  expect(readdirSync(scratch())).toEqual(before)
})

describe('a damaged or hostile file', () => {
  /** Changes the metadata, and keeps the checksum. */
  function forge(edit: (metadata: Record<string, string>) => void): void {
    const bytes = readFileSync(file)
    const end = 8 + Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.toString('utf8', 8, end)) as Record<string, never>
    edit(header['__metadata__'] as unknown as Record<string, string>)
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    writeFileSync(file, Buffer.concat([length, text, bytes.subarray(end)]))
  }

  const edited = (text = '', from: string, to: string): string => {
    expect(text).toContain(from)
    return text.replace(from, to)
  }

  const open = (): Chat => model.chat({ restore: file })
  const error = expect.objectContaining({
    code: 'ERR_CHAT_FILE',
    message: expect.stringContaining('chat.safetensors') as string,
  }) as Error

  test.each<[string, () => void]>([
    ['empty', () => writeFileSync(file, '')],
    [
      'another safetensors file',
      () => writeFileSync(file, readFileSync(join(model.path, 'model.safetensors'))),
    ],
    ['text', () => writeFileSync(file, 'hello, this is no chat')],
    [
      'changed messages',
      () => forge((all) => (all['chat'] = edited(all['chat'], 'hello', 'hullo'))),
    ],
    ['changed facts', () => forge((all) => (all['cache'] = edited(all['cache'], 'false', 'true')))],
    ['without messages', () => forge((all) => delete all['chat'])],
    ['of another format', () => forge((all) => (all['format'] = 'node-mlx chat 2'))],
  ])('%s', async (_, damage) => {
    await saved()
    damage()
    expect(open).toThrow(error)
  })

  test('that does not exist, or is a folder', () => {
    expect(() => model.chat({ restore: join(scratch(), 'none') })).toThrow(
      expect.objectContaining({ code: 'ERR_CHAT_FILE' }) as Error,
    )
    expect(() => model.chat({ restore: scratch() })).toThrow(
      expect.objectContaining({ code: 'ERR_CHAT_FILE' }) as Error,
    )
  })

  test('cut off anywhere is refused', async () => {
    await saved()
    const whole = readFileSync(file)
    const lengths = fc.integer({ min: 0, max: whole.length - 1 })
    fc.assert(
      fc.property(lengths, (length) => {
        writeFileSync(file, whole.subarray(0, length))
        expect(open).toThrow(error)
      }),
      { seed: 1, numRuns: 200 },
    )
  })

  test('with any byte changed is refused, or goes on as without its cache', async () => {
    const chat = await saved()
    const asked = [...chat.messages, user('more')]
    const expected = await model.generate(asked, { ...SHORT, cache: 'none' })
    chat.dispose()
    const whole = readFileSync(file)
    const place = fc.integer({ min: 0, max: whole.length - 1 })
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        await clear()
        const changed = Buffer.from(whole)
        changed.set([(changed[at] ?? 0) ^ bits], at)
        writeFileSync(file, changed)
        let restored: Chat
        try {
          restored = open()
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'ERR_CHAT_FILE' })
          return
        }
        expect([...restored.messages, user('more')]).toEqual(asked)
        expect((await restored.send('more')).tokens).toEqual(expected.tokens)
      }),
      { seed: 1, numRuns: 100 },
    )
  })
})

test('arguments are checked', async () => {
  const chat = model.chat()
  await expect(chat.save('')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
  expect(() => model.chat({ restore: '' })).toThrow('restore')
  await saved()
  expect(() => model.chat({ restore: file, messages: [] })).toThrow('messages: cannot be combined')
  chat.dispose()
  await expect(chat.save(file)).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
})
