// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The provider, as the AI SDK itself uses it.

import {
  createProviderRegistry,
  generateText,
  isStepCount,
  Output,
  streamText,
  tool,
  ToolLoopAgent,
} from 'ai'
import { loadModel, type Model } from 'node-mlx'
import { createMlx, mlx } from 'node-mlx/ai-sdk'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import * as z from 'zod'
import { expectIdle } from './helpers/engine'
import { demoModel, llama, makeLongModel } from './helpers/models'
import { makeScriptedModel } from './helpers/scripted-model'

const FRANCE = 'What is the capital of France?'
const WEATHER = 'What is the weather in Paris?'
const GREEDY = { temperature: 0, reasoning: 'none' } as const

const weather = tool({
  description: 'Get the weather of a city',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: sunny, 21 degrees`,
})

let model: Model

beforeAll(async () => {
  vi.stubGlobal('AI_SDK_LOG_WARNINGS', false)
  model = await loadModel(demoModel)
})

afterAll(async () => {
  await model.dispose()
})

describe('text', () => {
  test('comes whole, with usage, from a model that is loaded by its folder', async () => {
    await using provider = createMlx()
    const result = await generateText({ model: provider(demoModel), prompt: FRANCE, ...GREEDY })
    const expected = await model.generate(FRANCE, { temperature: 0, reasoning: false })
    const { text, finishReason, warnings } = result
    expect([text, finishReason, warnings]).toEqual([expected.text, 'stop', []])
    expect(text).toContain('Paris')
    const { promptTokens, completionTokens } = expected.usage
    const { inputTokens, outputTokens, inputTokenDetails } = result.usage
    expect({ inputTokens, outputTokens }).toEqual({
      inputTokens: promptTokens,
      outputTokens: completionTokens,
    })
    expect(inputTokenDetails.cacheReadTokens).toBeTypeOf('number')
    expect(result.response.modelId).toBe(demoModel)
  })

  test('streams', async () => {
    const { textStream, text, finishReason } = streamText({
      model: mlx(model),
      prompt: FRANCE,
      ...GREEDY,
    })
    const pieces: string[] = []
    for await (const piece of textStream) pieces.push(piece)
    expect(pieces.length).toBeGreaterThan(2)
    expect(pieces.join('')).toBe(await text)
    expect([await text, await finishReason]).toEqual([expect.stringContaining('Paris'), 'stop'])
  })

  test('follows reasoning, and ends at stop sequences and limits', async () => {
    const prompt = 'What is 12 plus 7?'
    const all = { model: mlx(model), prompt, temperature: 0 }
    const { reasoningText, text, usage } = await generateText({ ...all, reasoning: 'high' })
    expect(reasoningText).toMatch(/^ones: /u)
    expect(text).toBe('12 + 7 = 19.')
    expect(usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(20)
    const stopped = await generateText({ ...all, reasoning: 'none', stopSequences: [' ='] })
    expect(stopped).toMatchObject({ text: '12 + 7', reasoningText: undefined })
    const short = await generateText({ ...all, reasoning: 'none', maxOutputTokens: 2 })
    expect(short).toMatchObject({ finishReason: 'length', usage: { outputTokens: 2 } })
  })

  test('takes settings of the model, of the call and of providerOptions', async () => {
    const ask = async (call: object, settings = {}) => {
      const { text } = await generateText({
        model: mlx(model, settings),
        prompt: 'Tell me a story.',
        ...call,
      })
      return text
    }
    const settings = { seed: 1, temperature: 0.9, maxTokens: 20, reasoning: false }
    const { text } = await model.generate('Tell me a story.', settings)
    expect(await ask({}, settings)).toBe(text)
    expect(await ask({ seed: 1, temperature: 0.9 }, { ...settings, seed: 2 })).toBe(text)
    expect(await ask({ providerOptions: { mlx: settings } })).toBe(text)
    const unknown = ask({ providerOptions: { mlx: { topp: 1 } } })
    await expect(unknown).rejects.toThrow('did you mean topP?')
  })
})

describe('structured output', () => {
  const City = z.object({ city: z.string(), isCapital: z.boolean() })

  test('follows a schema, whole and streamed', async () => {
    const call = { model: mlx(model), prompt: FRANCE, maxOutputTokens: 200, ...GREEDY }
    const { output } = await generateText({ ...call, output: Output.object({ schema: City }) })
    expect(City.parse(output)).toEqual(output)
    const streamed = streamText({ ...call, output: Output.object({ schema: City }) })
    const partial: unknown[] = []
    for await (const part of streamed.partialOutputStream) partial.push(part)
    expect(partial.length).toBeGreaterThan(1)
    expect(await streamed.output).toEqual(output)
    const choice = Output.choice({ options: ['Paris', 'Rome'] })
    expect(['Paris', 'Rome']).toContain((await generateText({ ...call, output: choice })).output)
  })

  test('is any JSON without a schema, and refused with one that cannot be held', async () => {
    const call = { model: mlx(model), prompt: FRANCE, maxOutputTokens: 60, ...GREEDY }
    const { text, finishReason } = await generateText({ ...call, output: Output.json() })
    expect([JSON.parse(text), finishReason]).toEqual([expect.any(Object), 'stop'])
    const schema = z.object({ tags: z.array(z.string()).meta({ uniqueItems: true }) })
    const refused = generateText({ ...call, output: Output.object({ schema }) })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_GRAMMAR_UNSUPPORTED' })
  })
})

describe('tools', () => {
  test('are called in a loop', async () => {
    const tools = { get_weather: weather }
    const call = { model: mlx(model), prompt: WEATHER, tools, stopWhen: isStepCount(3), ...GREEDY }
    const { text, steps } = await generateText(call)
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', 'stop'])
    expect(steps[0]?.toolCalls).toMatchObject([
      { toolName: 'get_weather', input: { city: 'Paris' } },
    ])
    expect(steps[0]?.toolResults).toMatchObject([{ output: 'Paris: sunny, 21 degrees' }])
    expect(text).toMatch(/sunny/u)

    const streamed = streamText(call)
    const types = new Set<string>()
    let input = ''
    for await (const part of streamed.fullStream) {
      types.add(part.type)
      if (part.type === 'tool-input-delta') input += part.delta
    }
    expect(JSON.parse(input)).toEqual({ city: 'Paris' })
    const expected = ['tool-input-start', 'tool-input-delta', 'tool-input-end', 'tool-call']
    expect([...types]).toEqual(expect.arrayContaining([...expected, 'tool-result', 'text-delta']))
    expect(types).not.toContain('error')
    expect(await streamed.text).toBe(text)
  })

  test('are called by an agent', async () => {
    const agent = new ToolLoopAgent({
      model: mlx(model),
      tools: { get_weather: weather },
      ...GREEDY,
    })
    const { text, steps } = await agent.generate({ prompt: WEATHER })
    expect([text, steps.length]).toEqual([expect.stringMatching(/sunny/u), 2])
    const streamed = await agent.stream({ prompt: WEATHER })
    expect(await streamed.text).toBe(text)
  })

  test('are hidden if they are not to be called', async () => {
    const tools = { get_weather: weather }
    const call = { model: mlx(model), prompt: WEATHER, maxOutputTokens: 30, ...GREEDY }
    const { text, toolCalls } = await generateText({ ...call, tools, toolChoice: 'none' })
    expect(toolCalls).toEqual([])
    expect(text).toBe((await generateText(call)).text)
  })

  test('are called where the model would not', async () => {
    const tools = { get_weather: weather }
    const call = { model: mlx(model), prompt: 'Hello!', maxOutputTokens: 60, ...GREEDY }
    expect((await generateText({ ...call, tools })).toolCalls).toEqual([])
    for (const toolChoice of ['required', { type: 'tool', toolName: 'get_weather' }] as const) {
      const { toolCalls, warnings } = await generateText({ ...call, tools, toolChoice })
      expect(toolCalls[0]).toMatchObject({
        toolName: 'get_weather',
        input: { city: expect.any(String) },
      })
      expect(warnings).toEqual([])
    }
  })

  test('that are called wrongly end their input, and become text', async () => {
    const pieces = [
      '<tool_call>',
      '{"name": "get_weather", "argu',
      'ments": {"city": ',
      'Paris}}',
      '</tool_call>',
    ]
    const { folder } = makeScriptedModel(pieces, { template: '{# <tool_call> tool_call.name #}' })
    await using provider = createMlx()
    const streamed = streamText({
      model: provider(folder),
      prompt: '?',
      temperature: 0,
      tools: { get_weather: weather },
    })
    const types: string[] = []
    for await (const { type } of streamed.fullStream) if (types.at(-1) !== type) types.push(type)
    expect(types.filter((type) => type.startsWith('tool'))).toEqual([
      'tool-input-start',
      'tool-input-delta',
      'tool-input-end',
    ])
    expect([await streamed.text, await streamed.toolCalls]).toEqual([pieces.join(''), []])
  })
})

describe('what is not supported', () => {
  test('is done without, with a warning', async () => {
    await using provider = createMlx()
    const { warnings } = await provider(llama).doGenerate({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      maxOutputTokens: 2,
      reasoning: 'high',
      tools: [{ type: 'provider', id: 'other.search', name: 'search', args: {} }],
    })
    expect(warnings).toEqual([
      { type: 'unsupported', feature: "the provider's tool other.search" },
      {
        type: 'unsupported',
        feature: 'reasoning',
        details: expect.stringContaining('reason') as string,
      },
    ])
  })

  test('is refused where the answer would be another one', async () => {
    const image = {
      type: 'file',
      mediaType: 'image/png',
      data: new Uint8Array([137, 80, 78, 71]),
    } as const
    const messages = [{ role: 'user' as const, content: [image] }]
    const refused = generateText({ model: mlx(model), messages })
    await expect(refused).rejects.toThrow(
      'prompt[0].content[0]: a file of type image/png is not supported',
    )
  })
})

describe('abort', () => {
  test('stops the device, streamed or not, and while the model is loaded', async () => {
    await using long = await loadModel(makeLongModel())
    const call = {
      model: mlx(long),
      prompt: 'Hi',
      maxOutputTokens: 90_000,
      providerOptions: { mlx: { ignoreEos: true } },
    }
    const controller = new AbortController()
    const { fullStream } = streamText({ ...call, abortSignal: controller.signal })
    const types = new Set<string>()
    for await (const { type } of fullStream) {
      types.add(type)
      if (type === 'text-delta') controller.abort()
    }
    expect([...types].at(-1)).toBe('abort')
    await expectIdle()

    const whole = generateText({ ...call, abortSignal: AbortSignal.timeout(50) })
    await expect(whole).rejects.toMatchObject({
      name: expect.stringMatching(/^(?:Abort|Timeout)Error$/u),
    })
    await expectIdle()

    await using provider = createMlx()
    const loading = generateText({
      ...call,
      model: provider(demoModel),
      abortSignal: AbortSignal.abort(),
    })
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' })
  })

  test('is leaving the stream, too', async () => {
    await using long = await loadModel(makeLongModel())
    const { stream } = await mlx(long, { ignoreEos: true, maxTokens: 90_000 }).doStream({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    })
    const types: string[] = []
    for await (const { type } of stream) if (types.push(type) > 4) break
    expect(types).toContain('text-delta')
    await expectIdle()
  })
})

test('models are found in a registry of providers', async () => {
  await using provider = createMlx()
  const registry = createProviderRegistry({ mlx: provider })
  const { text } = await generateText({
    model: registry.languageModel(`mlx:${demoModel}`),
    prompt: FRANCE,
    ...GREEDY,
  })
  expect(text).toContain('Paris')
  expect(() => provider.imageModel('x')).toThrow("'x' cannot make images")
})
