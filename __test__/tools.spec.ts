// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The forms in which tools may be passed: all give the same prompt, and everything else is refused by name.

import { loadModel, type Model, type Tool } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { makeModel } from './helpers/models'

const name = 'get_weather'
const description = 'Get the weather of a city'
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const WEATHER: Tool = { type: 'function', function: { name, description, parameters } }

let model: Model
beforeAll(async () => {
  model = await loadModel(makeModel({ tokenizerConfig: { chat_template: '{{ tools | tojson }}' } }))
})
afterAll(() => model.dispose())

/** What the chat template gets. */
async function rendered(tools: readonly Tool[]): Promise<unknown> {
  const messages = [{ role: 'user', content: 'hi' }] as const
  return JSON.parse(await model.tokenizer.applyChatTemplate(messages, { tools })) as unknown
}

test('a tool in the format of templates is passed as it is', async () => {
  const strict = { ...WEATHER, function: { strict: true, ...WEATHER.function } }
  const tools: Tool[] = [WEATHER, strict, { type: 'function', function: { name } }]
  expect(JSON.stringify(await rendered(tools))).toBe(JSON.stringify(tools))
})

describe('the same tool may be', () => {
  test.each<[string, Tool]>([
    ['flat', { name, description, parameters }],
    ['flat, with a type', { type: 'function', name, description, parameters }],
    [
      "MCP's",
      {
        name,
        title: 'Weather',
        description,
        inputSchema: parameters,
        outputSchema: {},
        annotations: { readOnlyHint: true },
        _meta: {},
      } as Tool,
    ],
  ])('%s', async (_, tool) => {
    expect(await rendered([tool])).toEqual([WEATHER])
  })

  test("a schema of zod's", async () => {
    const schema = z.object({ city: z.string() })
    const expected = { ...parameters, additionalProperties: expect.anything() as unknown }
    const tools: Tool[] = [
      { name, parameters: schema },
      { name, inputSchema: schema },
      { type: 'function', function: { name, parameters: schema } },
    ]
    for (const tool of (await rendered(tools)) as { function: { parameters: object } }[]) {
      expect(tool.function.parameters).toMatchObject(parameters)
      expect([parameters, expected]).toContainEqual(tool.function.parameters)
    }
  })

  test('with what chat.run calls', async () => {
    const execute = () => 1
    expect(await rendered([{ ...WEATHER, execute }])).toEqual([WEATHER])
    expect(await rendered([{ name, description, parameters, execute }])).toEqual([WEATHER])
  })

  test('without parameters', async () => {
    const bare = [{ type: 'function', function: { name } }]
    expect(await rendered([{ name }])).toEqual(bare)
    expect(await rendered([{ name, parameters: {} }])).toHaveLength(1)
    expect(await rendered([{ name, parameters: { $ref: '#/$defs/a', $defs: {} } }])).toHaveLength(1)
  })
})

describe('anything else is refused by name:', () => {
  const standard = (input?: () => object) => ({
    '~standard': { version: 1, vendor: 'acme', jsonSchema: input && { input } },
  })
  const broken = standard(() => {
    throw new Error('a date has no schema')
  })
  test.each<[string, RegExp, unknown]>([
    ['tools', /Object\.entries\(tools\)/u, { get_weather: { description } }],
    ['tools', /got 'get_weather'/u, 'get_weather'],
    ['tools[0]', /got null/u, [null]],
    ['tools[0]', /\{ name, description, parameters \}/u, [{}]],
    ['tools[0]', /function: \{ name/u, [{ type: 'function' }]],
    ['tools[1].function.name', /non-empty/u, [WEATHER, { type: 'function', function: {} }]],
    ['tools[0].function', /expected an object/u, [{ type: 'function', function: 'f' }]],
    ['tools[0].type', /'function'/u, [{ function: { name } }]],
    ['tools[0].type', /got 'web_search'/u, [{ type: 'web_search', name }]],
    ['tools[0].name', /unknown property/u, [{ ...WEATHER, name }]],
    ['tools[0].name', /non-empty/u, [{ name: '' }]],
    ['tools[0].description', /a string/u, [{ name, description: 1 }]],
    ['tools[0].strict', /true or false/u, [{ name, strict: 'yes' }]],
    ['tools[0].params', /did you mean parameters\?/u, [{ name, params: {} }]],
    ['tools[0].execute', /a function/u, [{ name, execute: 'now' }]],
    ['tools[0].execute', /a function/u, [{ ...WEATHER, execute: {} }]],
    ['tools[0].inputSchema', /leave one out/u, [{ name, parameters, inputSchema: {} }]],
    ['tools[0].parameters', /JSON schema/u, [{ name, parameters: 'city' }]],
    ['tools[0].parameters', /of an object/u, [{ name, parameters: { city: 'string' } }]],
    ['tools[0].inputSchema', /of an object/u, [{ name, inputSchema: { type: 'string' } }]],
    ['tools[0].parameters', /of an object/u, [{ name, parameters: z.string() }]],
    ['tools[0].parameters', /newer acme/u, [{ name, parameters: standard() }]],
    ['tools[0].parameters', /a date has no schema/u, [{ name, parameters: broken }]],
    [
      'tools[0].function.parameters.x',
      /serialised/u,
      [{ type: 'function', function: { name, parameters: { type: 'object', x: 1n } } }],
    ],
  ])('%s: %s', async (field, problem, tools) => {
    const error = {
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringMatching(problem) as string,
      details: { name: field },
    }
    const options = { tools: tools as Tool[] }
    await expect(model.generate('hi', options)).rejects.toMatchObject(error)
    await expect(rendered(options.tools)).rejects.toMatchObject(error)
    await expect(model.chat().send('hi', options)).rejects.toMatchObject(error)
    if (problem.source !== 'serialised')
      expect(() => model.chat(options)).toThrow(expect.objectContaining(error) as Error)
  })
})
