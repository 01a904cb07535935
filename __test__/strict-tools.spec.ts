// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Calls that must come, and calls that are held to their schemas.

import {
  loadModel,
  NodeMlxError,
  type GenerateOptions,
  type GenerationChunk,
  type Tool,
} from 'node-mlx'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { briefly, FORMATS, makeModelOf } from './helpers/call-formats'
import { demoModel, llama } from './helpers/models'
import { makeScriptedModel, type ScriptOptions } from './helpers/scripted-model'

const Forecast = z.strictObject({
  city: z.string().min(1).max(3),
  days: z.int().min(1).max(14),
  unit: z.enum(['C', 'F']).nullable(),
  zip: z
    .string()
    .regex(/^[0-9]{2}$/u)
    .optional(),
})
const FORECAST: Tool = { name: 'get_forecast', description: 'A forecast', parameters: Forecast }
const TIME: Tool = { name: 'get_time' }

/** Without white space between the tokens of JSON, which only costs time. */
const HOT = { temperature: 1.5, logitBias: { 9: -100, 10: -100, 13: -100, 32: -100 } }

describe.each(Object.entries(FORMATS))('in the format %s', (_, format) => {
  test('a model without any idea calls the tool 100 of 100 times', async () => {
    await using model = await loadModel(makeModelOf(format))
    const options = {
      tools: [TIME, FORECAST],
      toolChoice: { name: 'get_forecast' },
      ...HOT,
      ...briefly(format),
      maxTokens: 1000,
    } as const
    const runs = Array.from({ length: 100 }, (__, seed) =>
      model.generate('?', { ...options, seed }),
    )
    for (const { text, toolCalls, finishReason } of await Promise.all(runs)) {
      expect({ text, finishReason }).toEqual({ text: '', finishReason: 'tool-calls' })
      expect(toolCalls).toHaveLength(1)
      expect(toolCalls[0]?.name).toBe('get_forecast')
      expect(Forecast.parse(toolCalls[0]?.arguments)).toEqual(toolCalls[0]?.arguments)
    }
  })

  test('it calls at least one, or writes calls and text that are held to the schemas', async () => {
    await using model = await loadModel(makeModelOf(format))
    const ask = (options: GenerateOptions) => {
      const common = { tools: [TIME, FORECAST], ...HOT, ...briefly(format) }
      const runs = Array.from({ length: 10 }, (__, seed) =>
        model.generate('?', { ...common, maxTokens: 200, seed, ...options }),
      )
      return Promise.all(runs)
    }
    const valid = { get_time: z.strictObject({}), get_forecast: Forecast }
    const some = await ask({ toolChoice: 'required' })
    const any = await ask({ strictTools: true })
    for (const { toolCalls } of [...some, ...any])
      for (const { name, arguments: args } of toolCalls)
        valid[name as keyof typeof valid].parse(args)
    for (const { text, toolCalls, finishReason } of some)
      if (finishReason !== 'length') expect([text.trim(), toolCalls.length > 0]).toEqual(['', true])
    expect(some.some(({ finishReason }) => finishReason === 'tool-calls')).toBe(true)
  })
})

describe('the demo model', () => {
  test('calls what it is told to', async () => {
    await using model = await loadModel(demoModel)
    const options = { tools: [TIME, FORECAST], temperature: 0 }
    const forced = await model.generate('Hello!', { ...options, toolChoice: { name: 'get_time' } })
    expect(forced).toMatchObject({
      text: '',
      finishReason: 'tool-calls',
      toolCalls: [{ name: 'get_time', arguments: {} }],
    })
    const required = await model.generate('Hello!', { ...options, toolChoice: 'required' })
    expect(required.toolCalls.map(({ name }) => name)).not.toEqual([])
    const free = await model.generate('Hello!', { ...options, strictTools: true })
    const plain = await model.generate('Hello!', options)
    expect([free.text, free.toolCalls]).toEqual([plain.text, plain.toolCalls])
  })

  test('reasons before a call that must come', async () => {
    await using model = await loadModel(demoModel)
    const { reasoning, toolCalls } = await model.generate('What is 2 plus 3?', {
      tools: [TIME],
      toolChoice: 'required',
      reasoning: true,
      temperature: 0,
    })
    expect(reasoning).toBeTruthy()
    expect(toolCalls).toMatchObject([{ name: 'get_time' }])
  })

  test('streams a call that must come, and a chat goes on after it', async () => {
    await using model = await loadModel(demoModel)
    using chat = model.chat({ tools: [FORECAST], temperature: 1.5, seed: 3 })
    const asked = chat.send('The weather in Paris?', { toolChoice: 'required' })
    const chunks: GenerationChunk[] = []
    for await (const chunk of asked) chunks.push(chunk)
    const { toolCalls, tokens } = await asked
    expect(chunks.flatMap((chunk) => chunk.tokens)).toEqual(tokens)
    const deltas = chunks.flatMap((chunk) => (chunk.type === 'tool-call-delta' ? [chunk] : []))
    expect(deltas[0]).toMatchObject({ id: toolCalls[0]?.id, name: 'get_forecast' })
    const first = deltas.filter(({ index }) => index === 0)
    const json = first.map((delta) => delta.arguments).join('')
    expect(JSON.parse(json)).toEqual(toolCalls[0]?.arguments)
    const results = toolCalls.map(({ id }) => ({ role: 'tool', toolCallId: id, content: 'sunny' }))
    const answer = await chat.send(results as { role: 'tool'; content: string }[])
    expect(answer.usage.cachedTokens).toBeGreaterThan(50)
  })
})

describe('the model of a script', () => {
  const special = ['<tool_call>', '</tool_call>', '<think>', '</think>']
  const HERMES: ScriptOptions = { special, template: '{# <tool_call> tool_call.name #}' }
  const Short = z.strictObject({ n: z.int().min(1).max(9) })
  const SHORT: Tool = { name: 'f', parameters: Short }

  async function say(pieces: readonly string[], options: GenerateOptions, script = HERMES) {
    const vocabulary = special.filter((token) => !pieces.includes(token))
    const { folder } = makeScriptedModel(pieces, { vocabulary, ...script })
    await using model = await loadModel(folder)
    return await model.generate('?', { temperature: 0, tools: [SHORT], maxTokens: 450, ...options })
  }

  test('writes text, and a call that is held to its schema', async () => {
    const call = ['<tool_call>', '{"name": "f", "arguments": {"n": "no"}}', '</tool_call>']
    const pieces = ['Well', ': ', ...call]
    const loose = await say(pieces, {})
    expect(loose.toolCalls).toMatchObject([{ arguments: { n: 'no' } }])
    const strict = await say(pieces, { strictTools: true })
    expect(strict).toMatchObject({ text: 'Well: ', finishReason: 'tool-calls' })
    expect(Short.parse(strict.toolCalls[0]?.arguments)).toEqual(strict.toolCalls[0]?.arguments)
  })

  test('cannot spell a call by other tokens, nor hide it in the reasoning', async () => {
    const pieces = ['<tool', '_call>', '{"name": "f", "arguments": {}}', '</tool_call>']
    const spelled = await say(pieces, { strictTools: true }, { ...HERMES, special: [] })
    for (const call of spelled.toolCalls) Short.parse(call.arguments)
    // The line breaks that follow the reasoning are two tokens.
    const reasoned = ['<think>', 'hm', ...pieces.slice(0, 3), '</think>', '\n', 'Hi']
    const hidden = await say(
      reasoned,
      { strictTools: true },
      { ...HERMES, special: special.slice(1) },
    )
    expect(hidden).toMatchObject({ text: 'Hi', toolCalls: [] })
    expect(hidden.reasoning).toContain('<tool_call>{"name": "f", "arguments": {}}')
  })

  test('reasons, also where the template opens that, and then calls', async () => {
    const opened = await say(
      ['hm', '</think>', '</tool_call>'],
      { toolChoice: 'required' },
      {
        special,
        template:
          '{# <tool_call> tool_call.name #}{% if add_generation_prompt %}<think>{% endif %}',
      },
    )
    expect(opened).toMatchObject({ reasoning: 'hm', text: '', toolCalls: [{ name: 'f' }] })
    const begun = await say(['<think>', 'so', '</think>', '</tool_call>'], {
      toolChoice: 'required',
    })
    expect(begun).toMatchObject({ reasoning: 'so', text: '', toolCalls: [{ name: 'f' }] })
  })

  test('gives a value of a schema, or calls a tool that is held to its own', async () => {
    const schema = z.strictObject({ a: z.literal(7) })
    const called = await say(['<tool_call>', '!'], { schema, strictTools: true })
    expect(called).not.toHaveProperty('object')
    expect(Short.parse(called.toolCalls[0]?.arguments)).toEqual(called.toolCalls[0]?.arguments)
    const given = await say(['{', '"a"', ':', '7', '}'], { schema, strictTools: true })
    expect(given).toMatchObject({ object: { a: 7 }, toolCalls: [] })
  })

  test('may be cut off', async () => {
    const cut = await say(['?'], { toolChoice: 'required', maxTokens: 4 })
    expect(cut).toMatchObject({ finishReason: 'length', toolCalls: [] })
    expect(cut.tokens).toHaveLength(4)
  })
})

describe('what is refused before the run:', () => {
  const bad = (parameters: object): Tool => ({ name: 'f', parameters })
  test.each<[string, string, GenerateOptions]>([
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: 'always' as 'auto' }],
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: 1 as unknown as 'auto' }],
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: { names: ['f'] } as never }],
    ['toolChoice.name', 'ERR_INVALID_ARG_VALUE', { toolChoice: { name: '' } }],
    ['toolChoice.name', 'ERR_INVALID_ARG_VALUE', { toolChoice: { name: 'get_tim' } }],
    ['strictTools', 'ERR_INVALID_ARG_VALUE', { strictTools: 'yes' as unknown as boolean }],
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: 'required', tools: [] }],
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: 'required', raw: true }],
    ['toolChoice', 'ERR_INVALID_ARG_VALUE', { toolChoice: 'required', schema: {} }],
    ['ignoreEos', 'ERR_INVALID_ARG_VALUE', { toolChoice: 'required', ignoreEos: true }],
    ['ignoreEos', 'ERR_INVALID_ARG_VALUE', { strictTools: true, ignoreEos: true }],
    [
      'tools',
      'ERR_GRAMMAR_UNSUPPORTED',
      { strictTools: true, tools: [bad({ type: 'object', not: {} })] },
    ],
  ])('%s, %s, %j', async (name, code, options) => {
    await using model = await loadModel(demoModel)
    const error: unknown = await model
      .generate('?', { tools: [TIME], ...options })
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(NodeMlxError)
    expect(error).toMatchObject({ code, details: { name } })
  })

  test('the place in a schema', async () => {
    await using model = await loadModel(demoModel)
    const parameters = { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } }
    const options = { tools: [TIME, bad(parameters)], strictTools: true }
    await expect(model.generate('?', options)).rejects.toMatchObject({
      message: 'tools: at /f/properties/a/uniqueItems: uniqueItems is not supported',
      details: { path: '/f/properties/a/uniqueItems' },
    })
    await expect(
      model.generate('Hi', { tools: options.tools, maxTokens: 2 }),
    ).resolves.toBeDefined()
  })

  test('a model without a format of calls', async () => {
    await using model = await loadModel(llama)
    const options = { tools: [TIME], maxTokens: 2 }
    for (const held of [{ toolChoice: 'required' }, { strictTools: true }] as const) {
      await expect(model.generate('?', { ...options, ...held })).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_VALUE',
        details: { name: Object.keys(held)[0] },
      })
    }
    await expect(model.generate('?', { ...options, toolChoice: 'auto' })).resolves.toBeDefined()
  })
})
