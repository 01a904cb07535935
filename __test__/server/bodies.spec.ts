// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What is wrong with a request is refused, by the name of its field.

import { loadModel, type Model } from 'node-mlx'
import { createHandler, type Handler, type HandlerOptions } from 'node-mlx/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { llama, makeModel } from '../helpers/models'
import { answer, ask, HELLO, toRequest } from '../helpers/requests'

let model: Model
let handler: Handler

beforeAll(async () => {
  model = await loadModel(llama)
  handler = createHandler({ models: { tiny: model } })
})

afterAll(async () => {
  await handler.dispose()
  await model.dispose()
})

describe('bodies that are refused', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

  test.each([
    ['truncated JSON', '{"model": "tiny", "messages": [{', 'body', 'is not valid JSON'],
    ['no JSON', 'model=tiny', 'body', 'is not valid JSON'],
    ['an array', '[]', 'body', 'expected an object, got an array'],
    ['nothing', '', 'body', 'is not valid JSON'],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'body', 'is not valid UTF-8'],
    ['a NUL byte', '{"model": "ti\0ny"}', 'body', 'is not valid JSON'],
    [
      'an escaped NUL',
      String.raw`{"model": "tiny", "messages": [{"role": "user", "content": "a\u0000"}]}`,
      'messages[0].content',
      'holds a NUL',
    ],
    [
      'a key with a NUL',
      String.raw`{"model": "tiny", "metadata": {"a\u0000": 1}}`,
      'metadata',
      'a key with a NUL',
    ],
    [
      'deep nesting',
      `{"model": "tiny", "tools": ${nested(100)}}`,
      'tools',
      'nested more than 64 levels deep',
    ],
    [
      'very deep nesting',
      `{"model": "tiny", "messages": ${nested(500_000)}}`,
      'messages',
      'nested more than 64 levels deep',
    ],
  ])('%s', async (_, body, param, message) => {
    const { status, error } = await answer(handler, toRequest('chat/completions', body))
    expect({ status, ...error }).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      param,
    })
    expect(error.message).toContain(message)
    expect(error.message.startsWith(param)).toBe(true)
  })

  test('larger than the limit, whether or not it says so', async () => {
    const large = JSON.stringify({ ...HELLO, user: 'x'.repeat(10_000_000) })
    const expected = {
      status: 413,
      error: { param: 'body', message: 'body: larger than 10000000 bytes' },
    }
    expect(await answer(handler, toRequest('chat/completions', large))).toMatchObject(expected)
    expect(
      await answer(handler, toRequest('chat/completions', '{}', { 'content-length': '10000001' })),
    ).toMatchObject(expected)
    let sent = 0
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(1_000_000).fill(32))
      },
    })
    expect(await answer(handler, toRequest('chat/completions', endless))).toMatchObject(expected)
    expect(sent).toBeLessThan(15)
  })

  test('of another type than JSON', async () => {
    const headers = { 'content-type': 'text/plain' }
    expect(
      await answer(handler, toRequest('chat/completions', JSON.stringify(HELLO), headers)),
    ).toMatchObject({
      status: 415,
    })
  })

  test.each([
    ['model', 'is missing', { model: undefined }],
    ['model', 'expected a string, got 7', { model: 7 }],
    ['messages', 'is missing', { messages: null }],
    ['messages', 'expected an array', { messages: 'Hello' }],
    ['messages', 'must not be empty', { messages: [] }],
    ['messages[0]', 'expected an object', { messages: ['Hello'] }],
    ['messages[0].role', "expected 'system' or", { messages: [{ role: 'robot', content: '' }] }],
    ['messages[0].content', 'is missing', { messages: [{ role: 'user' }] }],
    ['messages[0].content', 'expected a string', { messages: [{ role: 'user', content: 7 }] }],
    [
      'messages[0].content[0].type',
      "expected 'text'",
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    ],
    [
      'messages[0].toolCallId',
      'did you mean tool_call_id?',
      { messages: [{ role: 'tool', content: '', toolCallId: 'a' }] },
    ],
    [
      'messages[0].tool_calls[0].function.arguments',
      'expected a JSON object',
      {
        messages: [
          { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '[' } }] },
        ],
      },
    ],
    ['stream', 'expected true or false', { stream: 'yes' }],
    ['temperature', 'expected a number', { temperature: 'hot' }],
    ['temperature', '>= 0', { temperature: -1 }],
    ['top_p', 'from 0 to 1', { top_p: 2 }],
    ['max_tokens', 'from 1 to', { max_tokens: 0 }],
    ['max_completion_tokens', 'from 1 to', { max_completion_tokens: 0 }],
    ['top_logprobs', 'needs logprobs', { top_logprobs: 2 }],
    ['top_logprobs', 'from 0 to 20', { logprobs: true, top_logprobs: 21 }],
    ['n', 'expected 1, got 2', { n: 2 }],
    ['stop', 'non-empty strings', { stop: [7] }],
    ['seed', 'integer', { seed: 1.5 }],
    ["logit_bias['x']", 'the token id', { logit_bias: { x: 1 } }],
    ['reasoning_effort', "expected 'none' or", { reasoning_effort: 'huge' }],
    ['reasoning_effort', 'does not reason', { reasoning_effort: 'high' }],
    ['response_format.type', "expected 'text' or", { response_format: { type: 'xml' } }],
    [
      'response_format.json_schema.schema',
      'is missing',
      { response_format: { type: 'json_schema', json_schema: {} } },
    ],
    [
      'response_format.json_schema.schema',
      'not',
      { response_format: { type: 'json_schema', json_schema: { schema: { not: {} } } } },
    ],
    ['tools', 'expected an array', { tools: {} }],
    [
      'tools[0].function.name',
      'expected a non-empty string',
      { tools: [{ type: 'function', function: {} }] },
    ],
    ['tool_choice', "expected 'none', 'auto'", { tool_choice: 7 }],
    ['tool_choice', 'needs tools', { tool_choice: 'required' }],
    ['tool_choice', "'required' or { name }", { tool_choice: 'many', tools: [{ name: 'f' }] }],
    ['parallel_tool_calls', 'expected true', { parallel_tool_calls: false }],
    [
      'stream_options.includeUsage',
      'did you mean include_usage?',
      { stream_options: { includeUsage: true } },
    ],
    ['temprature', 'is not supported; did you mean temperature?', { temprature: 1 }],
    ['audio', 'is not supported', { audio: {} }],
  ])('chat: %s: %s', async (param, message, fields) => {
    const { status, error } = await ask(handler, { ...HELLO, ...fields })
    expect({ status, param: error.param?.split(':')[0] }).toEqual({ status: 400, param })
    expect(error.message).toContain(message)
    expect(error.message.startsWith(param)).toBe(true)
  })

  test.each([
    ['completions', 'prompt', { prompt: undefined }],
    ['completions', 'prompt', { prompt: ['a', 'b'] }],
    ['completions', 'prompt', { prompt: '' }],
    ['completions', 'prompt[1]', { prompt: [1, 1e9] }],
    ['completions', 'suffix', { suffix: 'x' }],
    ['completions', 'logprobs', { logprobs: 21 }],
    ['responses', 'input', { input: 7 }],
    ['responses', 'input[0].role', { input: [{ role: 'tool', content: '' }] }],
    ['responses', 'input[0].type', { input: [{ type: 'item_reference', id: 'a' }] }],
    [
      'responses',
      'input[0].content[0].type',
      { input: [{ role: 'user', content: [{ type: 'input_image' }] }] },
    ],
    ['responses', 'previous_response_id', { previous_response_id: 'a' }],
    ['responses', 'max_output_tokens', { max_output_tokens: 0 }],
    [
      'responses',
      'text.format.schema',
      { text: { format: { type: 'json_schema', name: 'x', schema: { not: {} } } } },
    ],
    ['responses', 'tools[0]', { tools: [{ type: 'web_search' }] }],
    ['responses', 'reasoning.effort', { reasoning: { effort: 'high' } }],
  ])('%s: %s', async (path, param, fields) => {
    const text = path === 'responses' ? { input: 'Hello' } : { prompt: 'Hello' }
    const { status, error } = await ask(handler, { model: 'tiny', ...text, ...fields }, path)
    expect({ status, param: error.param }).toEqual({ status: 400, param })
  })

  test('longer than the context', async () => {
    const messages = [{ role: 'user', content: 'word '.repeat(1000) }]
    const { status, error } = await ask(handler, { ...HELLO, messages })
    expect({ status, ...error }).toMatchObject({
      status: 400,
      param: 'messages',
      code: 'context_length_exceeded',
    })
  })
})

describe('paths, methods and models', () => {
  test('that do not exist', async () => {
    const get = async (path: string, method = 'GET') => {
      const { status, headers } = await handler(new Request(`http://localhost${path}`, { method }))
      return [status, headers.get('allow')]
    }
    expect(await get('/v1/models')).toEqual([200, null])
    expect(await get('/api/v1/models/tiny')).toEqual([200, null])
    expect(await get('/v1/models', 'POST')).toEqual([405, 'GET'])
    expect(await get('/v1/chat/completions')).toEqual([405, 'POST'])
    expect(await get('/v1/embeddings')).toEqual([405, 'POST'])
    expect(await get('/v1/images/generations')).toEqual([404, null])
    expect(await get('/v1/toString')).toEqual([404, null])
    expect(await get('/v1/models/%E0%A4%A')).toEqual([404, null])
    expect(await get('/v1/models/a%2Ftiny')).toEqual([404, null])
    const { status, error } = await ask(handler, { ...HELLO, model: 'tini' })
    expect({ status, ...error }).toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    })
    expect(error.message).toContain('did you mean tiny?')
  })

  test('that do not load', async () => {
    await using broken = createHandler({
      models: { tiny: makeModel({ files: { 'model.safetensors': 'no' } }) },
    })
    const { status, error } = await ask(broken, HELLO)
    expect({ status, ...error }).toMatchObject({
      status: 500,
      type: 'server_error',
      code: 'ERR_WEIGHTS_INVALID',
    })
  })

  test('that are no options', () => {
    const code = 'ERR_INVALID_ARG_VALUE'
    const wrong: unknown[] = [
      {},
      { models: [] },
      { models: [7] },
      { models: ['a'], apiKey: '' },
      { models: ['a'], apikey: 'x' },
    ]
    for (const options of wrong)
      expect(() => createHandler(options as HandlerOptions)).toThrow(
        expect.objectContaining({ code }),
      )
  })
})
