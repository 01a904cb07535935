// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The endpoint, as OpenAI's own client uses it.

import { loadModel, type Model } from 'node-mlx'
import { serve, type Server } from 'node-mlx/server'
import OpenAI from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { expectIdle } from '../helpers/engine'
import { demoModel, makeLongModel } from '../helpers/models'

const FRANCE = [{ role: 'user' as const, content: 'What is the capital of France?' }]
const WEATHER = [{ role: 'user' as const, content: 'What is the weather in Paris?' }]
const GREEDY = { model: 'demo', temperature: 0, reasoning_effort: 'none' } as const
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const City = z.object({ city: z.string(), isCapital: z.boolean() })

let model: Model
let long: Model
let server: Server
let client: OpenAI

beforeAll(async () => {
  model = await loadModel(demoModel)
  long = await loadModel(makeLongModel())
  server = await serve({ port: 0, models: { demo: model, long } })
  client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
})

afterAll(async () => {
  await server.close()
  await model.dispose()
  await long.dispose()
})

test('the models are listed', async () => {
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  expect(ids).toEqual(['demo', 'long'])
  expect(await client.models.retrieve('demo')).toMatchObject({ id: 'demo', object: 'model' })
  await expect(client.models.retrieve('other')).rejects.toMatchObject({ status: 404 })
})

describe('chat completions', () => {
  test('answer', async () => {
    const answer = await client.chat.completions.create({ ...GREEDY, messages: FRANCE })
    const expected = await model.generate(FRANCE, { temperature: 0, reasoning: false })
    const { promptTokens, completionTokens } = expected.usage
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'demo',
      choices: [
        { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: expected.text } },
      ],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
        prompt_tokens_details: { cached_tokens: expect.any(Number) as number },
      },
    })
  })

  test('stream, with the usage at the end', async () => {
    const { choices } = await client.chat.completions.create({ ...GREEDY, messages: FRANCE })
    const stream = await client.chat.completions.create({
      ...GREEDY,
      messages: FRANCE,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks: OpenAI.ChatCompletionChunk[] = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
    expect(text).toBe(choices[0]?.message.content)
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: expect.any(Number) as number },
    })
  })

  test('follow seed, stop, limits and reasoning', async () => {
    const story = [{ role: 'user' as const, content: 'Tell me a story.' }]
    const tell = async (seed: number) => {
      const options = { model: 'demo', messages: story, seed, temperature: 0.9, max_tokens: 8 }
      const { choices } = await client.chat.completions.create(options)
      return choices[0]
    }
    const [first, again, other] = [await tell(1), await tell(1), await tell(2)]
    expect(first).toEqual(again)
    expect(first).not.toEqual(other)
    expect(first?.finish_reason).toBe('length')

    const messages = [{ role: 'user' as const, content: 'What is 12 plus 7?' }]
    const stopped = await client.chat.completions.create({ ...GREEDY, messages, stop: ' =' })
    expect(stopped.choices[0]).toMatchObject({
      message: { content: '12 + 7' },
      finish_reason: 'stop',
    })
    const thinking = await client.chat.completions.create({
      ...GREEDY,
      messages,
      reasoning_effort: 'high',
    })
    expect(thinking.choices[0]?.message).toMatchObject({
      content: '12 + 7 = 19.',
      reasoning_content: expect.stringMatching(/^ones: /u) as string,
    })
    expect(thinking.usage?.completion_tokens_details?.reasoning_tokens).toBeGreaterThan(20)
  })

  test('have log-probabilities, whole and streamed', async () => {
    const call = { ...GREEDY, messages: FRANCE, logprobs: true, top_logprobs: 2 }
    const { choices } = await client.chat.completions.create(call)
    const content = choices[0]?.logprobs?.content ?? []
    const text = choices[0]?.message.content
    expect(content.map(({ token }) => token).join('')).toBe(text)
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(text)
    expect(content[0]?.top_logprobs).toHaveLength(2)
    expect(content[0]?.top_logprobs[0]?.logprob).toBe(content[0]?.logprob)
    const stream = await client.chat.completions.create({ ...call, stream: true })
    const streamed: unknown[] = []
    for await (const chunk of stream) streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []))
    expect(streamed).toEqual(content)
  })

  test('follow a schema', async () => {
    const response_format = zodResponseFormat(City, 'city')
    const call = { ...GREEDY, messages: FRANCE, max_tokens: 200, response_format }
    const { choices } = await client.chat.completions.parse(call)
    expect(City.parse(choices[0]?.message.parsed)).toEqual(choices[0]?.message.parsed)
    const stream = client.chat.completions.stream(call)
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]?.message.parsed).toEqual(choices[0]?.message.parsed)
    const free = { ...call, response_format: { type: 'json_object' as const } }
    const { choices: any } = await client.chat.completions.create(free)
    if (any[0]?.finish_reason === 'stop') JSON.parse(any[0]?.message.content ?? '')
    expect(any[0]?.message.content).toMatch(/^\{/u)
  })

  test('call tools, whole and streamed', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters } }]
    const call = { ...GREEDY, messages: WEATHER, tools }
    const { choices } = await client.chat.completions.create(call)
    const message = choices[0]?.message
    expect(choices[0]?.finish_reason).toBe('tool_calls')
    expect(message).toMatchObject({
      content: null,
      tool_calls: [{ type: 'function', function: { name: 'get_weather' } }],
    })
    const final = await client.chat.completions.stream(call).finalChatCompletion()
    const [streamed] = final.choices[0]?.message.tool_calls ?? []
    expect(JSON.parse(streamed?.type === 'function' ? streamed.function.arguments : '')).toEqual({
      city: 'Paris',
    })
    const id = message?.tool_calls?.[0]?.id ?? ''
    const result = { role: 'tool' as const, tool_call_id: id, content: 'sunny, 21 degrees' }
    const messages = [...WEATHER, ...(message === undefined ? [] : [message]), result]
    const answer = await client.chat.completions.create({ ...call, messages })
    expect(answer.choices[0]?.message.content).toMatch(/sunny/u)
    const none = await client.chat.completions.create({
      ...call,
      tool_choice: 'none',
      max_tokens: 30,
    })
    expect(none.choices[0]?.message.tool_calls).toBeUndefined()
  })

  test('call tools where the model would not', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'get_weather', parameters } }]
    const messages = [{ role: 'user' as const, content: 'Hello!' }]
    const call = { ...GREEDY, messages, tools, max_tokens: 60 }
    const named = { type: 'function' as const, function: { name: 'get_weather' } }
    for (const tool_choice of ['required' as const, named]) {
      const { choices } = await client.chat.completions.create({ ...call, tool_choice })
      const called = choices[0]?.message.tool_calls?.[0]
      const text = called?.type === 'function' ? called.function.arguments : ''
      expect(JSON.parse(text)).toEqual({ city: expect.any(String) })
    }
  })

  test('run tools in a loop', async () => {
    const runner = client.chat.completions.runTools({
      ...GREEDY,
      messages: WEATHER,
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            description: 'Get the weather of a city',
            parameters,
            parse: JSON.parse,
            function: ({ city }: { city: string }) => `${city}: sunny, 21 degrees`,
          },
        },
      ],
    })
    expect(await runner.finalContent()).toMatch(/sunny/u)
  })
})

describe('completions', () => {
  const call = { model: 'demo', prompt: 'Paris is', temperature: 0, max_tokens: 8, logprobs: 1 }

  test('continue a text, and token ids', async () => {
    const { choices, usage } = await client.completions.create(call)
    const expected = await model.generate('Paris is', { raw: true, temperature: 0, maxTokens: 8 })
    expect(choices[0]).toMatchObject({ text: expected.text, index: 0 })
    expect(usage?.completion_tokens).toBe(expected.usage.completionTokens)
    const { tokens = [], token_logprobs = [], text_offset = [] } = choices[0]?.logprobs ?? {}
    expect(tokens.slice(0, 3).join('')).toBe(expected.text.slice(0, text_offset[3]))
    expect(token_logprobs).toHaveLength(tokens.length)
    const ids = await model.tokenizer.encode('Paris is')
    const of = async (prompt: number[] | string[]) =>
      (await client.completions.create({ ...call, prompt })).choices[0]
    expect([await of(ids), await of(['Paris is'])]).toEqual([choices[0], choices[0]])
  })

  test('stream', async () => {
    const { choices } = await client.completions.create(call)
    const stream = await client.completions.create({ ...call, stream: true })
    let text = ''
    let reason: string | null = null
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text
      reason = chunk.choices[0]?.finish_reason ?? null
    }
    expect([text, reason]).toEqual([choices[0]?.text, choices[0]?.finish_reason])
  })
})

describe('responses', () => {
  const call = { model: 'demo', temperature: 0, reasoning: { effort: 'none' as const } }
  const tools = [{ type: 'function' as const, name: 'get_weather', parameters, strict: false }]

  test('answer, whole and streamed', async () => {
    const input = 'What is the capital of France?'
    const answer = await client.responses.create({
      ...call,
      input,
      instructions: 'Answer briefly.',
    })
    expect(answer).toMatchObject({
      status: 'completed',
      model: 'demo',
      instructions: 'Answer briefly.',
    })
    expect(answer.output_text).toContain('Paris')
    expect(answer.usage?.input_tokens).toBeGreaterThan(5)
    const stream = client.responses.stream({ ...call, input, instructions: 'Answer briefly.' })
    const types: string[] = []
    let text = ''
    for await (const event of stream) {
      types.push(event.type)
      if (event.type === 'response.output_text.delta') text += event.delta
    }
    expect(text).toBe(answer.output_text)
    expect([types[0], types.at(-1)]).toEqual(['response.created', 'response.completed'])
    const final = await stream.finalResponse()
    expect(final.output_text).toBe(text)
    const short = await client.responses.create({ ...call, input, max_output_tokens: 2 })
    expect(short).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    })
  })

  test('reason, and take their output as input', async () => {
    const input = 'What is 12 plus 7?'
    const first = await client.responses.create({ ...call, input, reasoning: { effort: 'high' } })
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'message'])
    expect(first.output_text).toBe('12 + 7 = 19.')
    const message = { role: 'user' as const, content: input }
    const second = await client.responses.create({
      ...call,
      input: [message, ...first.output, { ...message, content: 'Hello!' }] as never,
    })
    expect(second.output_text).not.toBe('')
  })

  test('follow a schema', async () => {
    const { output_parsed: parsed } = await client.responses.parse({
      ...call,
      input: FRANCE,
      max_output_tokens: 200,
      text: { format: zodTextFormat(City, 'city') },
    })
    expect(City.parse(parsed)).toEqual(parsed)
  })

  test('call tools, whole and streamed', async () => {
    const { output } = await client.responses.create({ ...call, input: WEATHER, tools })
    const [item] = output
    expect(item).toMatchObject({ type: 'function_call', name: 'get_weather', status: 'completed' })
    const final = await client.responses.stream({ ...call, input: WEATHER, tools }).finalResponse()
    const args = [item, final.output[0]].map((each) => {
      return JSON.parse(each?.type === 'function_call' ? each.arguments : '') as unknown
    })
    expect(args).toEqual([{ city: 'Paris' }, { city: 'Paris' }])
    const callId = item?.type === 'function_call' ? item.call_id : ''
    const result = {
      type: 'function_call_output' as const,
      call_id: callId,
      output: 'sunny, 21 degrees',
    }
    const answer = await client.responses.create({
      ...call,
      tools,
      input: [...WEATHER, ...output, result] as never,
    })
    expect(answer.output_text).toMatch(/sunny/u)
  })
})

test('a client that leaves stops the device', async () => {
  const logit_bias = Object.fromEntries(long.tokenizer.eosTokenIds.map((id) => [id, -100]))
  const call = { model: 'long', messages: FRANCE, max_tokens: 90_000, logit_bias }
  const stream = await client.chat.completions.create({ ...call, stream: true })
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
  await expectIdle()
  const controller = new AbortController()
  const whole = client.chat.completions.create(call, { signal: controller.signal })
  setTimeout(() => controller.abort(), 100)
  await expect(whole).rejects.toThrow('aborted')
  await expectIdle()
})
