// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, inChild, type Outcome } from '../helpers/child'
import { makeFifo, scratch } from '../helpers/models'

test('row 58: every text that a caller sends counts towards the context', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const long = 'ab '.repeat(1_000_000)
    const user = { role: 'user', content: 'x' } as const
    const call = { name: 'f', arguments: { a: long } }
    const assistant = { role: 'assistant', content: 'x' } as const
    const tools = [{ name: 'f', description: long }]
    const parts = Array.from({ length: 5 }, () => ({ ...user, content: 'ab '.repeat(100_000) }))
    return {
      content: await outcome(model.generate([{ ...user, content: long }])),
      together: await outcome(model.generate(parts)),
      name: await outcome(model.generate([{ ...user, name: long }])),
      reasoning: await outcome(model.generate([user, { ...assistant, reasoning: long }, user])),
      toolCalls: await outcome(model.generate([user, { ...assistant, toolCalls: [call] }, user])),
      tools: await outcome(model.generate('x', { tools })),
      documents: await outcome(model.generate('x', { documents: [{ text: long }] })),
      chatTemplateArgs: await outcome(model.generate('x', { chatTemplateArgs: { a: long } })),
      key: await outcome(model.generate('x', { chatTemplateArgs: { [long]: 1 } })),
      applyChatTemplate: await outcome(
        model.tokenizer.applyChatTemplate([user], { documents: [{ text: long }] }),
      ),
    }
  })
  expectCodes(outcomes, 'ERR_CONTEXT_OVERFLOW')
  expect(outcomes.content.details).toMatchObject({ characterLimit: 2 ** 20, limit: 512 })
})

test('row 64: a FIFO in the cache of the Hub is not opened', async () => {
  const cacheDir = scratch()
  const commit = '1'.repeat(40)
  const folder = join(cacheDir, 'models--o--m')
  for (const name of ['refs', 'trees', `snapshots/${commit}`])
    mkdirSync(join(folder, name), { recursive: true })
  makeFifo(join(folder, 'refs/main'))
  makeFifo(join(folder, `trees/${commit}.json`))
  makeFifo(join(folder, `trees/${commit}.node-mlx-model.json`))
  const outcomes = await inChild(
    async ({ mlx, outcome }, { cacheDir: shared, revision }) => {
      const options = { cacheDir: shared, offline: true }
      return {
        ref: await outcome(mlx.loadModel('o/m', options)),
        list: await outcome(mlx.loadModel('o/m', { ...options, revision })),
      }
    },
    { cacheDir, revision: commit },
  )
  expectCodes(outcomes, 'ERR_OFFLINE')
})

test('row 67: a signal that cannot be let go of is invalid, and the chat goes on', async () => {
  const { messages, after, ...outcomes } = await inChild(async ({ model, outcome }) => {
    const chat = model.chat({ maxTokens: 2 })
    const like = (signal: object) => outcome(chat.send('hi', { signal: signal as AbortSignal }))
    const noop = () => {}
    const fails = () => {
      throw new Error('no')
    }
    const found = {
      incomplete: await like({ aborted: false, addEventListener: noop }),
      failing: await like({ aborted: false, addEventListener: fails, removeEventListener: noop }),
      unreadable: await like({
        get aborted() {
          return fails()
        },
      }),
    }
    // What fails when it is let go of has been a signal until then.
    const late = { aborted: false, addEventListener: noop, removeEventListener: fails }
    await like(late)
    const next = await outcome(chat.send('again'))
    return { ...found, after: next.code, messages: chat.messages.length }
  })
  expectCodes(outcomes, 'ERR_INVALID_ARG_VALUE')
  expect(after).toBeUndefined()
  expect(messages).toBe(4)
})

test('row 70: token ids whose memory went to another thread are invalid', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const ids = Uint32Array.of(1, 2)
    structuredClone(ids.buffer, { transfer: [ids.buffer] })
    return {
      decode: await outcome(model.tokenizer.decode(ids)),
      generate: await outcome(model.generate(ids)),
    }
  })
  expectCodes(outcomes, 'ERR_INVALID_ARG_VALUE')
})

test('row 71: options that change while they are read count once', async () => {
  const { polluted, ...outcomes } = await inChild(async ({ model, outcome }) => {
    const changing = (name: string, first: unknown, later: unknown): object => {
      let reads = 0
      const get = () => {
        reads += 1
        return reads === 1 ? first : later
      }
      return Object.defineProperty({ maxTokens: 2 }, name, { enumerable: true, get })
    }
    const changes: [string, unknown, unknown][] = [
      ['maxTokens', 2, -1],
      ['temperature', 1, 'x'],
      ['maxKvSize', 16, 0],
      ['prefillStepSize', 4, 0],
      ['stop', ['a'], [5]],
      ['logprobs', 1, 1e9],
      ['signal', undefined, 5],
      ['onPromptProgress', undefined, 5],
    ]
    const found: Record<string, Outcome> = {}
    for (const [name, first, later] of changes) {
      found[name] = await outcome(model.generate([1, 2, 3], changing(name, first, later)))
    }
    let lengths = 0
    const get = (ids: number[], key: PropertyKey): unknown => {
      if (key === 'length') lengths += 1
      return key === 'length' && lengths > 3 ? 2 ** 32 : Reflect.get(ids, key)
    }
    await outcome(model.generate(new Proxy([1, 2, 3], { get })))
    const lying = [1, 2 ** 32 - 1]
    lying.findIndex = () => -1
    found['lying'] = {
      ...((await outcome(model.generate(lying))).code !== 'ERR_OUT_OF_RANGE' && { code: 'wrong' }),
    }
    const prototype = Object.prototype as Record<string, unknown>
    Object.assign(prototype, { temperature: 'x', signal: 5, logprobs: 1e9, extra: 5 })
    const all = [
      await outcome(model.generate([1, 2], { maxTokens: 2 })),
      await outcome(model.chat().send('hi', { maxTokens: 2 })),
    ]
    for (const name of ['temperature', 'signal', 'logprobs', 'extra']) delete prototype[name]
    return { ...found, polluted: all.map(({ message = null }) => message) }
  })
  expect(Object.entries<Outcome>(outcomes).filter(([, { code }]) => code)).toEqual([])
  expect(polluted).toEqual([null, null])
})

test('row 71: what a getter or a proxy throws names the option', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const fails = () => {
      throw new Error('mine')
    }
    const failing = new Proxy({}, { ownKeys: fails })
    return {
      getter: await outcome(
        model.generate('x', {
          get maxTokens() {
            return fails()
          },
        }),
      ),
      proxy: await outcome(model.generate('x', failing)),
      nested: await outcome(model.generate('x', { reasoning: failing as never })),
      message: await outcome(model.generate([failing as never])),
      tool: await outcome(model.generate('x', { tools: [failing as never] })),
      biases: await outcome(model.generate('x', { logitBias: failing })),
      'kind of biases': await outcome(
        model.generate('x', { logitBias: new Proxy({}, { get: fails }) }),
      ),
      schema: await outcome(
        model.generate('x', { schema: { '~standard': new Proxy({}, { get: fails }) } as never }),
      ),
      element: await outcome(model.generate(new Proxy([1, 2], { get: fails }))),
      part: await outcome(
        model.generate([{ role: 'user', content: new Proxy([], { get: fails }) }]),
      ),
      last: await outcome(
        model.generate(new Proxy([], { get: fails }), { continueFinalMessage: true }),
      ),
    }
  })
  expectCodes(outcomes, 'ERR_INVALID_ARG_VALUE')
  expect(outcomes.proxy.message).toContain('mine')
})

test('row 71: revoked proxies, and what is thrown without a text, are errors of ours', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    const revoked = proxy as never
    const mute = new Proxy(
      {},
      {
        ownKeys() {
          throw Object.create(null)
        },
      },
    ) as never
    const chat = model.chat()
    const { tokenizer } = model
    return {
      prompt: await outcome(model.generate(revoked)),
      options: await outcome(model.generate('x', revoked)),
      draft: await outcome(model.generate('x', { speculative: { draft: revoked } })),
      text: await outcome(tokenizer.encode(revoked)),
      ids: await outcome(tokenizer.decode(revoked)),
      template: await outcome(tokenizer.applyChatTemplate(revoked)),
      chat: await outcome(() => model.chat(revoked)),
      message: await outcome(chat.send(revoked)),
      messages: await outcome(() => (chat.messages = revoked)),
      'no text': await outcome(model.generate('x', mute)),
      'no text, chat': await outcome(() => model.chat(mute)),
      'no text, tokenizer': await outcome(tokenizer.encode('x', mute)),
    }
  })
  expectCodes(outcomes, 'ERR_INVALID_ARG_VALUE')
})

test('row 72: shared objects and sparse arrays are counted before they are walked', async () => {
  const { lag, ...outcomes } = await inChild(async ({ model, outcome, eventLoopLag, sleep }) => {
    let shared: object = { a: 1 }
    for (let level = 0; level < 40; level += 1) shared = { a: shared, b: shared }
    const sparse = (length: number): never[] => Object.assign([], { length })
    const user = { role: 'user', content: 'x' } as const
    const stop = eventLoopLag()
    await sleep(20)
    const found = {
      shared: await outcome(model.generate('x', { chatTemplateArgs: { shared } })),
      rendered: await outcome(
        model.tokenizer.applyChatTemplate([user], { chatTemplateArgs: { shared } }),
      ),
      messages: await outcome(model.generate(sparse(2 ** 31))),
      parts: await outcome(model.generate([{ ...user, content: sparse(2 ** 31) }])),
      stop: await outcome(model.generate('x', { stop: sparse(2 ** 31) })),
      tools: await outcome(model.generate('x', { tools: sparse(2 ** 31) })),
      documents: await outcome(model.generate('x', { documents: sparse(2 ** 31) })),
      nested: await outcome(model.generate('x', { chatTemplateArgs: { a: sparse(2 ** 31) } })),
      'messages of a chat': await outcome(() => model.chat({ messages: sparse(2 ** 31) })),
      'message to a chat': await outcome(model.chat().send(sparse(2 ** 31))),
      'message of a run': await outcome(model.chat().run(sparse(2 ** 31))),
    }
    const decode = await outcome(model.tokenizer.decode(sparse(2 ** 32 - 1)))
    await sleep(20)
    return { ...found, decode: { ...decode, code: `decode: ${decode.code}` }, lag: stop().max }
  })
  const { decode, ...others } = outcomes
  expectCodes(others, 'ERR_INVALID_ARG_VALUE')
  expect(decode.code).toBe('decode: ERR_OUT_OF_RANGE')
  expect(lag).toBeLessThan(2000)
})
