// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// lib/electron over Node's message channels. __test__/electron runs it in Electron.

import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { inspectModel, loadModel, NodeMlxError, type Model } from '../lib'
import { startHost } from '../lib/electron'
import type { Host } from '../lib/electron/host'
import { fakeHost, fakePage } from './helpers/fake-electron'
import { demoModel, llama, makeLongModel, root } from './helpers/models'

const SHORT = { maxTokens: 8, temperature: 0 }
const LONG = { maxTokens: 2000, ignoreEos: true }
/** For a model with a long context. */
const ENDLESS = { ...LONG, maxTokens: 90_000 }
const NO_METHOD = { code: 'ERR_INVALID_ARG_VALUE', details: { name: 'method' } }
const DISPOSED = { code: 'ERR_MODEL_DISPOSED' }

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('a model of the host', () => {
  let host: Host
  let model: Model
  let local: Model

  beforeAll(async () => {
    host = fakeHost().host
    model = await host.loadModel(demoModel)
    local = await loadModel(demoModel)
  })

  afterAll(async () => {
    await host.dispose()
    await local.dispose()
  })

  test('has the properties of a model', () => {
    const { id, path, modelType, contextLength, vocabSize, parameterCount } = local
    expect(model).toMatchObject({ id, path, modelType, contextLength, vocabSize, parameterCount })
    expect(model.memoryUsage).toBe(local.memoryUsage)
    expect(model.tokenizer.chatTemplate).toBe(local.tokenizer.chatTemplate)
  })

  test('generates the same, awaited and iterated', async () => {
    const expected = await local.generate('Who are you?', { ...SHORT, logprobs: 2 })
    const run = model.generate('Who are you?', { ...SHORT, logprobs: 2 })
    const texts: string[] = []
    for await (const chunk of run) texts.push(chunk.text)
    const result = await run
    expect(result).toMatchObject({ text: expected.text, tokens: expected.tokens })
    expect(result.logprobs).toEqual(expected.logprobs)
    expect(texts.join('')).toBe(expected.text)
    expect(result.usage).toEqual(expected.usage)
  })

  test('reports progress with the prompt', async () => {
    const seen: number[] = []
    const onPromptProgress = ({ processed }: { processed: number }): unknown => seen.push(processed)
    await model.generate('Hello! '.repeat(20), { ...SHORT, prefillStepSize: 16, onPromptProgress })
    expect(seen.length).toBeGreaterThan(1)
  })

  test('tokenizes', async () => {
    const ids = await model.tokenizer.encode('Hello!')
    expect(ids).toEqual(await local.tokenizer.encode('Hello!'))
    expect(await model.tokenizer.decode(ids)).toBe('Hello!')
    const messages = [{ role: 'user', content: 'Hello!' }] as const
    expect(await model.tokenizer.applyChatTemplate(messages)).toBe(
      await local.tokenizer.applyChatTemplate(messages),
    )
  })

  test('chats with a cache, forks and resets', async () => {
    const chat = model.chat()
    await chat.send('My name is Ada.', SHORT)
    const fork = chat.fork()
    const { usage } = await chat.send('Hello!', SHORT)
    expect(usage.cachedTokens).toBeGreaterThan(10)
    const forked = await fork.send('Hello!', SHORT)
    expect(forked.usage.cachedTokens).toBeGreaterThanOrEqual(usage.cachedTokens)
    expect(fork.messages).toEqual(chat.messages)
    chat.reset()
    expect(chat.messages).toEqual([])
    await expect(chat.save('chat')).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
    chat.dispose()
    expect(() => model.chat({ restore: 'chat' })).toThrow('another process')
    await expect(chat.send('Hello!')).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
  })

  test.each<[string, () => PromiseLike<unknown>, object]>([
    [
      'an option',
      () => model.generate('a', { topK: -1 }),
      { code: 'ERR_OUT_OF_RANGE', details: { name: 'topK' } },
    ],
    ['a prompt', () => model.generate([10 ** 9]), { code: 'ERR_OUT_OF_RANGE' }],
    [
      'the addon',
      () => model.generate('a', { maxKvSize: 8, kvBits: 4 }),
      { code: 'ERR_INVALID_ARG_VALUE' },
    ],
    ['a model', () => host.loadModel('/no/such'), { code: 'ERR_MODEL_NOT_FOUND' }],
    ['a path', () => host.loadModel((() => '') as never), { code: 'ERR_INVALID_ARG_VALUE' }],
    [
      'a load option',
      () => host.loadModel(llama, { device: 'tpu' as never }),
      { details: { name: 'device' } },
    ],
    ['a limit', () => host.setMemoryLimit(-1), { code: 'ERR_OUT_OF_RANGE' }],
  ])('reports errors of %s', async (_, call, expected) => {
    const error: unknown = await call().then(String, (reason: unknown) => reason)
    expect(error).toBeInstanceOf(NodeMlxError)
    expect(error).toMatchObject(expected)
  })

  test('stops a run by signal, cancel and break', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const run = model.generate('Hello!', { ...LONG, signal: controller.signal })
    for await (const chunk of run[Symbol.asyncIterator]()) {
      expect(chunk.type).toBe('text')
      break
    }
    await expect(run).rejects.toMatchObject({ code: 'ABORT_ERR' })

    const aborted = model.generate('Hello!', { ...LONG, signal: controller.signal })
    await aborted[Symbol.asyncIterator]().next()
    controller.abort(reason)
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason })

    const cancelled = model.generate('Hello!', LONG)
    cancelled.cancel()
    await expect(cancelled).rejects.toMatchObject({ code: 'ABORT_ERR' })
  })

  test('streams text, and keeps what a stopped run has said', async () => {
    const { text } = await local.generate('Hello!', SHORT)
    const run = model.generate('Hello!', SHORT)
    expect(await new Response(run.toReadableStream()).text()).toBe(text)
    let streamed = ''
    for await (const part of run.textStream) streamed += part
    expect(streamed).toBe(text)

    const options = { ...LONG, temperature: 0, onAbort: 'keep' } as const
    const chat = model.chat(options)
    const stopped = chat.send('Hello!')
    for await (const _ of stopped.textStream) break
    const result = await stopped
    expect(result).toMatchObject({ finishReason: 'aborted', tokens: expect.any(Array) as unknown })
    expect(result.usage.promptTokens).toBeGreaterThan(5)
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: result.text })
    // Long enough that its first token is not there when it is stopped.
    const early = model.generate('Hello! '.repeat(200), { ...options, prefillStepSize: 1 })
    early.cancel()
    expect(await early).toMatchObject({ finishReason: 'aborted', text: '' })
  })

  test('stops loading, by signal and by an exception of onProgress', async () => {
    const signal = AbortSignal.abort('no')
    await expect(host.loadModel(demoModel, { signal })).rejects.toMatchObject({
      code: 'ABORT_ERR',
      cause: 'no',
    })
    const failure = new Error('mine')
    const onProgress = (): never => {
      throw failure
    }
    await expect(host.loadModel(demoModel, { onProgress })).rejects.toBe(failure)
  })

  test('is disposed of', async () => {
    const other = await host.loadModel(makeLongModel())
    const run = other.generate([1, 2, 3], ENDLESS)
    await run[Symbol.asyncIterator]().next()
    await other.dispose()
    await expect(run).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
    await expect(other.generate([1])).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
    await other.dispose()
  })

  test('is inspected, and so is the engine', async () => {
    expect(await host.inspectModel(llama)).toEqual({
      ...(await inspectModel(llama)),
      memory: expect.objectContaining({ weights: expect.any(Number) }) as unknown,
    })
    expect(await host.devices()).toContain('cpu')
    expect((await host.memoryUsage()).active).toBeGreaterThan(0)
    await expect(
      host.downloadModel('a/b', { offline: true, cacheDir: tmpdir() }),
    ).rejects.toMatchObject({ code: 'ERR_OFFLINE' })
  })
})

describe('a process that dies', () => {
  test('fails its runs, is started again, and has the same settings', async () => {
    const exits: number[] = []
    const { host, children } = fakeHost({ onExit: ({ exitCode }) => exits.push(exitCode) })
    const model = await host.loadModel(makeLongModel())
    const initial = await host.setCacheLimit(2 ** 20)
    const chat = model.chat()
    const run = model.generate([1, 2, 3], ENDLESS)
    await run[Symbol.asyncIterator]().next()
    children[0]?.die(9)
    await expect(run).rejects.toMatchObject({ code: 'ERR_PROCESS_GONE', details: { exitCode: 9 } })
    expect(exits).toEqual([9])

    const results = await Promise.all([model.generate([1, 2, 3], SHORT), chat.send('a', SHORT)])
    expect(results.map(({ tokens }) => tokens.length)).toEqual([8, 8])
    expect(children.length).toBe(2)
    expect(await host.setCacheLimit(initial)).toBe(2 ** 20)
    await host.dispose()
    expect(exits).toEqual([9])
    await expect(model.generate([1])).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
  })

  test('is given up after maxRestarts in a minute', async () => {
    const { host, children } = fakeHost({ maxRestarts: 1 })
    const now = vi.spyOn(performance, 'now').mockReturnValue(0)
    await host.devices()
    children[0]?.die(1)
    await host.devices()
    children[0]?.die(1)
    await expect(host.devices()).rejects.toThrow(/died 2 times within a minute/u)
    now.mockReturnValue(60_001)
    expect(await host.devices()).toContain('cpu')
    now.mockRestore()
    await host.dispose()
  })
})

describe('a page', () => {
  test('uses the model that it was given, and another one when it is given that', async () => {
    const { host } = fakeHost()
    const { contents, connectModel } = fakePage()
    await expect(connectModel()).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })

    const loading = host.loadModel(demoModel)
    host.connect(contents, loading)
    const model = await connectModel()
    const own = await loading
    expect(model.id).toBe(demoModel)
    const { text } = await model.generate('Hello!', SHORT)
    expect(text).toBe((await own.generate('Hello!', SHORT)).text)
    await model.dispose()
    expect((await own.generate('Hello!', SHORT)).text).toBe(text)

    const other = await host.loadModel(llama)
    host.connect(contents, other)
    expect((await connectModel()).vocabSize).toBe(other.vocabSize)
    await other.dispose()
    await expect(connectModel()).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
    await host.dispose()
  })

  test('gets a port to the next process if the last one dies meanwhile', async () => {
    const { host, children } = fakeHost()
    const { contents, connectModel } = fakePage()
    host.connect(contents, await host.loadModel(llama))
    const connecting = connectModel()
    // Microtasks alone: the request is sent and not answered yet.
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    children[0]?.die(9)
    const model = await connecting
    expect(children.length).toBe(2)
    expect((await model.generate([1], SHORT)).tokens.length).toBe(8)
    await host.dispose()
  })

  test('needs a model of the host, and the preload script', async () => {
    const { host } = fakeHost()
    const { contents, connectModel } = fakePage()
    const local = await loadModel(llama)
    host.connect(contents, local)
    await expect(connectModel()).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    host.connect(contents, host.loadModel('/no/such'))
    await expect(connectModel()).rejects.toMatchObject({ code: 'ERR_MODEL_NOT_FOUND' })
    await local.dispose()
    Reflect.deleteProperty(globalThis, 'nodeMlx')
    await expect(connectModel()).rejects.toThrow(/preload/u)
  })

  test.each([
    ['is gone', (port: MessagePort) => port.close()],
    ['drops it', (port: MessagePort) => port.postMessage({ drop: 2 })],
  ])('stops its run when it %s', async (_, end) => {
    const { host } = fakeHost()
    const { contents, requestPort } = fakePage()
    const model = await host.loadModel(makeLongModel(), { maxQueue: 1 })
    host.connect(contents, model)
    const port = await requestPort()
    const prompt = { type: 'tokens', tokens: Uint32Array.of(1, 2, 3) }
    const args = [prompt, JSON.stringify(ENDLESS)]
    port.postMessage({ call: 1, object: 0, method: 'model', args: [], as: 1 })
    port.postMessage({ call: 2, object: 1, method: 'generate', args, as: 2 })
    port.postMessage({ call: 3, object: 2, method: 'next', args: [] })
    await new Promise((resolve) => {
      port.on('message', ({ call }: { call: number }) => call === 3 && resolve(call))
    })
    await expect(model.generate([1], SHORT)).rejects.toMatchObject({ code: 'ERR_QUEUE_FULL' })
    end(port)
    const done = async (): Promise<void> => void (await model.generate([1], SHORT))
    // Less than the run would take.
    await vi.waitFor(done, { timeout: 10_000 })
    port.close()
    await host.dispose()
  })

  test.each<[string, object, object]>([
    ['loads no model', { object: 0, method: 'loadModel', args: [llama] }, NO_METHOD],
    ['calls no inherited method', { object: 0, method: 'constructor', args: [] }, NO_METHOD],
    ['shares no model', { object: 1, method: 'share', args: [] }, NO_METHOD],
    ['uses nothing that it has not made', { object: 7, method: 'next', args: [] }, DISPOSED],
    ['sends arguments', { object: 1, method: 'encode', args: null }, { code: 'ERR_INTERNAL' }],
    ['sends arguments of any type', { object: 1, method: 'decode', args: ['a', 1] }, {}],
  ])('%s that it should not', async (_, call, error) => {
    const { host } = fakeHost()
    const { contents, requestPort } = fakePage()
    const model = await host.loadModel(llama)
    host.connect(contents, model)
    const port = await requestPort()
    for (const message of [null, 'text', 1, []]) port.postMessage(message)
    port.postMessage({ call: 1, object: 0, method: 'model', args: [], as: 1 })
    port.postMessage({ call: 2, ...call })
    const reply = await new Promise((resolve) => {
      port.on('message', (message: { call: number }) => message.call === 2 && resolve(message))
    })
    expect(reply).toMatchObject({ call: 2, error })
    port.close()
    expect((await model.generate([1], SHORT)).tokens.length).toBe(8)
    await host.dispose()
  })
})

test('startHost needs Electron', async () => {
  await expect(startHost()).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
  await expect(startHost({ maxRestarts: -1 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
})

test('what a page and a preload script load needs no other file', () => {
  const dist = (name: string): string => readFileSync(join(root, 'dist/electron', name), 'utf8')
  expect(dist('renderer.mjs')).not.toMatch(/\bimport\b(?!\.meta)|\brequire\(/u)
  expect(dist('preload.js').match(/require\([^)]*\)/gu)).toEqual(["require('electron')"])
})
