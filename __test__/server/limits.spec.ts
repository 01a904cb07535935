// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Models that are loaded and unloaded, limits of time, size and access, and calls that turn out to be none.

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { loadModel, memoryUsage, setMemoryLimit, type Model } from 'node-mlx'
import { createHandler, serve } from 'node-mlx/server'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { expectBusy, expectIdle } from '../helpers/engine'
import { demoModel, llama, makeLongModel } from '../helpers/models'
import { answer, ask, HELLO, JSON_TYPE, toRequest } from '../helpers/requests'
import { makeScriptedModel } from '../helpers/scripted-model'

/** Without the tokens that end an answer, whatever they are. */
const ENDLESS = {
  max_tokens: 90_000,
  logit_bias: Object.fromEntries([285, 286, 287].map((id) => [id, -100])),
}

let model: Model

beforeAll(async () => {
  model = await loadModel(llama)
})

afterAll(async () => {
  await model.dispose()
})

describe('models', () => {
  test('are loaded on demand, and unloaded when idle', async () => {
    await using lazy = createHandler({ models: { tiny: llama, demo: demoModel }, idleTimeout: 500 })
    const { active } = await memoryUsage()
    const answers = await Promise.all([ask(lazy, HELLO), ask(lazy, HELLO)])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect((await memoryUsage()).active).toBeGreaterThan(active)
    await expect.poll(async () => (await memoryUsage()).active).toBe(active)
    expect(await ask(lazy, HELLO)).toMatchObject({ status: 200 })
  })

  test('make room for others when they are idle, and are refused when they do not fit', async () => {
    await using lazy = createHandler({ models: { tiny: llama, demo: demoModel } })
    const before = (await memoryUsage()).active
    expect(await ask(lazy, { ...HELLO, model: 'demo' })).toMatchObject({ status: 200 })
    const size = (await memoryUsage()).active - before
    const limit = await setMemoryLimit(before + size + 10_000)
    onTestFinished(async () => void (await setMemoryLimit(limit)))
    expect(await ask(lazy, HELLO)).toMatchObject({ status: 200 })
    expect((await memoryUsage()).active).toBeLessThan(before + size)
    await setMemoryLimit(before)
    const response = await lazy(
      toRequest('chat/completions', JSON.stringify({ ...HELLO, model: 'demo' })),
    )
    expect([response.status, response.headers.get('x-should-retry')]).toEqual([503, 'false'])
    expect(await response.json()).toMatchObject({ error: { code: 'ERR_INSUFFICIENT_MEMORY' } })
  })

  test('end their runs when the handler is disposed of', async () => {
    const gone = createHandler({ models: { tiny: makeLongModel() } })
    const running = ask(gone, { ...HELLO, ...ENDLESS })
    await expectBusy()
    await gone.dispose()
    expect(await running).toMatchObject({ status: 503, error: { code: 'ERR_MODEL_DISPOSED' } })
  })
})

describe('limits', () => {
  test('of time end an answer, also within the stream', async () => {
    await using quick = createHandler({ models: { tiny: makeLongModel() }, timeout: 1500 })
    const long = { ...HELLO, ...ENDLESS }
    expect(await ask(quick, long)).toMatchObject({
      status: 504,
      error: { code: 'timeout' },
    })
    const body = JSON.stringify({ ...long, stream: true })
    const text = await (await quick(toRequest('chat/completions', body))).text()
    expect(text).toMatch(/"delta".*"code":"timeout"\}\}\n\n$/su)
    await expectIdle()
    const never = new ReadableStream({})
    expect(await answer(quick, toRequest('chat/completions', never))).toMatchObject({
      status: 408,
      error: { param: 'body' },
    })
  })

  test('of the key let nobody else in', async () => {
    await using closed = createHandler({ models: { tiny: model }, apiKey: 'secret' })
    const withKey = async (key: string) => {
      const headers = { authorization: `Bearer ${key}` }
      return (await closed(new Request('http://localhost/v1/models', { headers }))).status
    }
    expect([await withKey('secret'), await withKey('secre'), await withKey('')]).toEqual([
      200, 401, 401,
    ])
    expect(await ask(closed, HELLO)).toMatchObject({
      status: 401,
      error: { code: 'invalid_api_key' },
    })
  })

  test('of the network: loopback without a key, and only by its name', async () => {
    const open = serve({ host: '0.0.0.0', port: 0, models: { tiny: model } })
    await expect(open).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      details: { name: 'host' },
    })
    await using shared = await serve({
      host: '0.0.0.0',
      port: 0,
      apiKey: 'k',
      models: { tiny: model },
    })
    expect((await fetch(shared.url.replace('0.0.0.0', '127.0.0.1'))).status).toBe(401)
    await using own = await serve({ port: 0, models: { tiny: model } })
    const { port } = new URL(own.url)
    const statusFor = async (host: string) => {
      const request = httpRequest({ port, path: '/v1/models', headers: { host } }).end()
      const [response] = (await once(request, 'response')) as [
        { statusCode: number; resume: () => void },
      ]
      response.resume()
      return response.statusCode
    }
    expect(await statusFor(`localhost:${port}`)).toBe(200)
    expect(await statusFor('evil.example')).toBe(403)
  })

  test('of bodies and headers reach clients that are still sending', async () => {
    await using server = await serve({ port: 0, models: { tiny: model } })
    const body = Buffer.alloc(100_000_000, 32)
    const response = await fetch(`${server.url}/chat/completions`, {
      method: 'POST',
      headers: JSON_TYPE,
      body,
    })
    expect([response.status, await response.json()]).toMatchObject([
      413,
      { error: { param: 'body' } },
    ])
    const { status } = await fetch(`${server.url}/models`, {
      headers: { 'x-large': 'x'.repeat(20_000) },
    })
    expect(status).toBe(431)
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    // Of no URL: a request with one would leave the connection open for seconds.
    socket.write('GET / HTTP/1.1\r\nHost: [\r\n\r\n')
    await once(socket.resume(), 'close')
    expect((await fetch(`${server.url}/models`)).status).toBe(200)
  })
})

test('a call that turns out to be malformed stays in the stream as it is, and becomes text', async () => {
  const pieces = ['<tool_call>', '{"name": "f", "argu', 'ments": {"a": ', 'b}}', '</tool_call>']
  const { folder } = makeScriptedModel(pieces, { template: '{# <tool_call> tool_call.name #}' })
  await using scripted = createHandler({ models: { tiny: folder } })
  const call = { model: 'tiny', input: '?', stream: true, tools: [{ type: 'function', name: 'f' }] }
  const request = toRequest('responses', JSON.stringify(call))
  const text = await (await scripted(request)).text()
  const events =
    text
      .match(/^data: .*$/gmu)
      ?.map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>) ?? []
  expect(events.map((event) => event['sequence_number'])).toEqual(events.map((_, index) => index))
  expect(events.at(-1)).toMatchObject({
    type: 'response.completed',
    response: {
      output: [
        { type: 'function_call', name: 'f', arguments: '{"a": b}', status: 'incomplete' },
        { type: 'message', content: [{ text: pieces.join('') }] },
      ],
    },
  })
})
