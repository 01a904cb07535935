// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Answers that follow a schema, a regular expression or a grammar.

import { loadModel, type GenerateOptions, type Model, type Tool } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { demoModel, llama } from './helpers/models'
import { makeScriptedModel, type ScriptOptions } from './helpers/scripted-model'

const Person = z.object({
  name: z.string().min(1).max(12),
  age: z.int().min(0).max(150),
  role: z.enum(['admin', 'user']),
  tags: z.array(z.string().regex(/^[a-z]{1,8}$/u)).max(3),
  home: z.object({ city: z.string().max(20), zip: z.string().max(5).optional() }).nullable(),
})

let model: Model
beforeAll(async () => {
  model = await loadModel(demoModel)
})
afterAll(async () => model.dispose())

// A seed, as a number or a string without a limit may be longer than that.
const HOT = { temperature: 1.5, maxTokens: 1000, seed: 1 }

describe('schema', () => {
  test('makes every answer a value, whatever the sampling', async () => {
    const ways: GenerateOptions[] = [
      {},
      { topP: 0.9 },
      { topK: 5, minP: 0.01 },
      { xtcProbability: 1, xtcThreshold: 0.05 },
      { repetitionPenalty: 1.5, presencePenalty: 1, frequencyPenalty: 1 },
      { kvBits: 8, kvGroupSize: 32 },
      { maxKvSize: 64 },
      { prefillStepSize: 3 },
      { logitBias: { 1: 50 } },
      { temperature: 0, repetitionPenalty: 1.2 },
    ]
    for (const [index, way] of ways.entries()) {
      const options = { ...HOT, seed: index, schema: Person, ...way }
      const { object, text, finishReason } = await model.generate('Who are you?', options)
      expect(finishReason).toBe('stop')
      expect(object).toEqual(JSON.parse(text))
      expect(Person.parse(object)).toEqual(object)
    }
  })

  test('may be a JSON schema', async () => {
    const { object } = await model.generate('A number, please.', {
      ...HOT,
      schema: { type: 'array', items: { type: 'integer' }, minItems: 2, maxItems: 2 },
    })
    expect(object).toEqual([expect.any(Number), expect.any(Number)])
  })

  test('follows the reasoning of the demo model, and streams', async () => {
    const schema = {
      type: 'object',
      properties: { answer: { type: 'integer' } },
      required: ['answer'],
    }
    const generation = model.generate('What is 2 plus 3?', {
      temperature: 0,
      schema,
      reasoning: true,
    })
    let text = ''
    for await (const chunk of generation) if (chunk.type === 'text') text += chunk.text
    const { object, ...result } = await generation
    expect(result.text).toBe(text)
    expect(result.reasoning).toBeTruthy()
    expect(object).toEqual({ answer: expect.any(Number) })
  })

  test('gives no object where maxTokens or a stop string cuts the answer', async () => {
    const cut = await model.generate('Hi', { ...HOT, schema: Person, maxTokens: 5 })
    expect([cut.finishReason, cut.tokens.length]).toEqual(['length', 5])
    expect(cut).not.toHaveProperty('object')
    const stopped = await model.generate('Hi', { ...HOT, schema: Person, stop: ['"age"'] })
    expect([stopped.finishReason, stopped.stopString]).toEqual(['stop', '"age"'])
    expect(stopped).not.toHaveProperty('object')
  })

  test('and a seed give the same tokens', async () => {
    const options = { ...HOT, schema: Person, seed: 7 }
    const [first, second] = [
      await model.generate('Hi', options),
      await model.generate('Hi', options),
    ]
    expect(first.tokens).toEqual(second.tokens)
  })

  test('may leave nothing to draw', async () => {
    const schema = { const: 'a constant' }
    const options = { schema, logprobs: 0, reasoning: false }
    const { object, logprobs } = await model.generate('Hi', options)
    expect(object).toBe('a constant')
    expect(logprobs?.map(({ logprob }) => logprob)).toEqual(logprobs?.map(() => 0))
  })

  test('of a library converts the value, or rejects it and leaves the chat as it was', async () => {
    const Length = z.object({ word: z.enum(['red', 'blue']).transform((word) => word.length) })
    const { object } = await model.generate('Hi', { ...HOT, schema: Length })
    expect([3, 4]).toContain(object?.word)

    const Never = z.object({ n: z.int().refine(() => false, 'must be something else') })
    using chat = model.chat()
    const error = await chat
      .send('Hi', { ...HOT, schema: Never })
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ERR_SCHEMA_MISMATCH',
      message: 'the schema rejects the answer: n: must be something else',
      details: { issues: [{ path: ['n'] }], text: expect.stringContaining('"n"') as string },
    })
    expect(chat.messages).toEqual([])
  })

  test('is kept by a chat, whose next turn goes on as ever', async () => {
    using chat = model.chat({ schema: Person })
    const first = await chat.send('Hi', HOT)
    expect(Person.parse(first.object)).toEqual(first.object)
    expect(chat.messages.at(-1)).toMatchObject({ role: 'assistant', content: first.text })
    const second = await chat.send('And now?', { ...HOT, schema: z.enum(['yes', 'no']) })
    expect(['yes', 'no']).toContain(second.object)
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens - 1)
  })

  test('takes token ids as a prompt', async () => {
    const { object } = await model.generate([1, 2, 3], { ...HOT, schema: z.boolean() })
    expect([true, false]).toContain(object)
  })
})

test('regex matches the whole answer', async () => {
  for (const seed of [1, 2, 3]) {
    const { text, finishReason } = await model.generate('Hi', {
      ...HOT,
      seed,
      regex: /(yes|no): \d{3}/u,
    })
    expect([finishReason, text]).toEqual(['stop', expect.stringMatching(/^(yes|no): \d{3}$/u)])
  }
  const { text } = await model.generate('Hi', { ...HOT, regex: '[ab]{5}' })
  expect(text).toMatch(/^[ab]{5}$/u)
})

test('grammar describes the answer in Lark', async () => {
  const grammar = 'start: sum "=" number\nsum: number ("+" number){0,3}\nnumber: /[1-9][0-9]?/'
  const { text } = await model.generate('Hi', { ...HOT, grammar })
  expect(text).toMatch(/^\d{1,2}(\+\d{1,2}){0,3}=\d{1,2}$/u)
})

test('what must come is taken without drawing, several tokens in a pass', async () => {
  const words = 'the user is an assistant'
  const regex = `[0-9]${words}[0-9]${words}`
  const { text, tokens, logprobs } = await model.generate('Hi', { ...HOT, regex, logprobs: 2 })
  expect(text).toMatch(new RegExp(`^${regex}$`, 'u'))
  expect(logprobs?.map(({ id }) => id)).toEqual(tokens)
  const drawn = logprobs?.filter(({ logprob }) => logprob !== 0) ?? []
  expect(drawn.length).toBeLessThan(tokens.length / 2)
  for (const { logprob, top } of logprobs ?? []) {
    expect(logprob).toBeLessThanOrEqual(0)
    for (const likely of top) expect(likely.logprob).toBeGreaterThan(-Infinity)
  }
})

describe('what is refused before the run', () => {
  const refused = (options: object) =>
    model.generate('Hi', options).then(
      ({ text }) => text,
      (error: unknown) => error,
    )

  test('names the place in the schema', async () => {
    const schema = { type: 'object', properties: { a: { not: { type: 'null' } } } }
    expect(await refused({ schema })).toMatchObject({
      code: 'ERR_GRAMMAR_UNSUPPORTED',
      message: 'schema: at /properties/a/not: not is not supported',
      details: { name: 'schema', path: '/properties/a/not' },
    })
    const code = 'ERR_GRAMMAR_UNSUPPORTED'
    expect(await refused({ schema: z.object({ when: z.date() }) })).toMatchObject({ code })
    expect(await refused({ regex: '(?=a)' })).toMatchObject({ code, details: { name: 'regex' } })
    expect(await refused({ grammar: 'start' })).toMatchObject({
      code,
      details: { name: 'grammar' },
    })
  })

  test.each([
    [{ schema: {}, regex: 'a' }, 'schema'],
    [{ regex: 'a', grammar: 'start: "a"' }, 'regex'],
    [{ regex: 'a', ignoreEos: true }, 'ignoreEos'],
    [{ regex: /a/iu }, 'regex'],
    [{ regex: '' }, 'regex'],
    [{ grammar: 1 }, 'grammar'],
    [{ schema: 'object' }, 'schema'],
    [{ schema: { '~standard': { vendor: 'other', version: 1 } } }, 'schema'],
  ])('%j by the name of the option', async (options, name) => {
    expect(await refused(options)).toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      details: { name },
    })
  })
})

test('a tiny vocabulary will do', async () => {
  await using tiny = await loadModel(llama)
  const { object } = await tiny.generate('Hi', {
    ...HOT,
    maxTokens: 400,
    schema: z.object({ a: z.enum(['x']) }),
  })
  expect(object).toEqual({ a: 'x' })
})

describe('in the format of a model', () => {
  const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
  const WEATHER: Tool = {
    type: 'function',
    function: { name: 'get_weather', parameters: { type: 'object', properties: {} } },
  }
  const VALUE = ['{', '"a"', ':', '7', '}']
  const special = ['<think>', '</think>']

  async function say(
    pieces: readonly string[],
    script: ScriptOptions,
    options: GenerateOptions = {},
  ) {
    const { folder } = makeScriptedModel(pieces, script)
    await using scripted = await loadModel(folder)
    return await scripted.generate('?', { temperature: 0, maxTokens: 60, schema, ...options })
  }

  test('the value begins after reasoning that the model opens', async () => {
    const pieces = ['<think>', 'hm {', '</think>', ...VALUE]
    const result = await say(pieces, { special, template: '{% if enable_thinking %}{% endif %}' })
    expect(result).toMatchObject({ reasoning: 'hm {', text: '{"a":7}', object: { a: 7 } })
    expect(result.usage.reasoningTokens).toBe(3)
  })

  test('the value begins after reasoning that the template opens', async () => {
    const result = await say(['hm', '</think>', ...VALUE], {
      special,
      vocabulary: ['<think>'],
      template: '{% if add_generation_prompt %}<think>{% endif %}',
    })
    expect(result).toMatchObject({ reasoning: 'hm', text: '{"a":7}', object: { a: 7 } })
  })

  test('reasoning does not end the answer, but a budget ends the reasoning', async () => {
    const pieces = ['<think>', 'hm', 'so']
    const script = {
      special: ['<think>'],
      vocabulary: ['</think>', ...VALUE],
      template: '{% if enable_thinking %}{% endif %}',
    }
    const endless = await say(pieces, script)
    expect([endless.finishReason, endless.text]).toEqual(['length', ''])
    const ended = await say(pieces, script, { reasoning: { budget: 2 }, schema: { enum: [7, 8] } })
    expect(ended).toMatchObject({ finishReason: 'stop', reasoning: 'hm', text: '7', object: 7 })
    expect(ended.usage.reasoningTokens).toBeGreaterThanOrEqual(2)
  })

  test('reasoning that is switched off is not allowed', async () => {
    const result = await say(
      ['<think>', '</think>', ...VALUE],
      { special, template: '{% if enable_thinking %}{% endif %}' },
      { reasoning: false },
    )
    expect(result).toMatchObject({ text: '{"a":7}', object: { a: 7 } })
    expect(result.reasoning).toBeUndefined()
  })

  test.each<[string, readonly string[], ScriptOptions]>([
    [
      'Harmony',
      ['<|message|>', 'hm', '<|end|>'],
      {
        special: ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'],
        vocabulary: ['<|start|>', '<|channel|>'],
      },
    ],
    ['Gemma 4', ['<|channel>', 't', 'hm', '<channel|>'], { special: ['<|channel>', '<channel|>'] }],
    ['Magistral', ['[THINK]', 'hm', '[/THINK]'], { special: ['[THINK]', '[/THINK]'] }],
  ])('the value begins after the reasoning of %s', async (_, pieces, script) => {
    const result = await say(pieces, { ...script, template: '' }, { schema: { enum: [7, 8] } })
    expect(result).toMatchObject({ reasoning: 'hm', text: '7', object: 7, finishReason: 'stop' })
  })

  test('a tag in a string is text', async () => {
    const text = '"<think>hm</think> <tool_call>"'
    const result = await say(
      ['?'],
      { special, template: '' },
      { schema: { const: JSON.parse(text) as string } },
    )
    expect(result).toMatchObject({ text, object: JSON.parse(text) as string })
  })

  test('the model calls a tool, or gives the value', async () => {
    const script = {
      special: ['<tool_call>', '</tool_call>'],
      template: '{# <tool_call> tool_call.name #}',
    }
    const call = '{"name": "get_weather", "arguments": {}}'
    const called = await say(['<tool_call>', call, '</tool_call>'], script, { tools: [WEATHER] })
    expect(called).toMatchObject({
      finishReason: 'tool-calls',
      toolCalls: [{ name: 'get_weather' }],
    })
    expect(called).not.toHaveProperty('object')
    const given = await say([...VALUE, '<tool_call>', '</tool_call>'], script, { tools: [WEATHER] })
    expect(given).toMatchObject({ finishReason: 'stop', object: { a: 7 }, toolCalls: [] })
    const bare = { template: '{# <tool_call> tool_call.name #}' }
    await expect(say(VALUE, bare, { tools: [WEATHER] })).rejects.toMatchObject({
      details: { name: 'tools' },
    })
  })
})
