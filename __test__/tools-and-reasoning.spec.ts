// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel, type GenerateOptions, type GenerationChunk, type Tool } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { demoModel } from './helpers/models'
import { makeScriptedModel, type ScriptOptions } from './helpers/scripted-model'

const WEATHER: Tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Get the weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}

const HERMES: ScriptOptions = { template: '{# <tool_call> tool_call.name #}' }

/** What the model with this script says, joined by kind in the order of its first chunk. */
async function say(pieces: readonly string[], options: GenerateOptions = {}, script = HERMES) {
  const { folder, tokens } = makeScriptedModel(pieces, script)
  await using model = await loadModel(folder)
  const generation = model.generate('?', { temperature: 0, ...options })
  const chunks: GenerationChunk[] = []
  for await (const chunk of generation) chunks.push(chunk)
  const result = await generation
  const join = (type: GenerationChunk['type']) =>
    chunks.map((chunk) => (chunk.type === type ? chunk.text : '')).join('')
  expect(join('text')).toBe(result.text)
  expect(join('reasoning')).toBe(result.reasoning ?? '')
  expect(await new Response(generation.toReadableStream()).text()).toBe(result.text)
  expect(chunks.flatMap((chunk) => chunk.tokens)).toEqual(result.tokens)
  return { chunks, result, tokens }
}

describe('the demo model', () => {
  test('calls a tool, receives its result, and answers', async () => {
    await using model = await loadModel(demoModel)
    using chat = model.chat({ tools: [WEATHER], temperature: 0 })
    const asked = chat.send('What is the weather in Paris?')
    const chunks: GenerationChunk[] = []
    for await (const chunk of asked) chunks.push(chunk)
    const { toolCalls, finishReason, text } = await asked
    expect(toolCalls).toEqual([
      { id: expect.stringMatching(/^\w{9}$/u), name: 'get_weather', arguments: { city: 'Paris' } },
    ])
    expect([finishReason, text]).toEqual(['tool-calls', ''])
    const deltas = chunks.filter((chunk) => chunk.type === 'tool-call-delta')
    expect(deltas.length).toBeGreaterThan(3)
    expect(deltas[0]).toMatchObject({ id: toolCalls[0]?.id, name: 'get_weather' })
    expect(deltas.slice(1).some((delta) => 'id' in delta)).toBe(false)
    expect(JSON.parse(deltas.map((delta) => delta.arguments).join(''))).toEqual({ city: 'Paris' })
    expect(chunks.at(-1)).toMatchObject({ type: 'tool-call', index: 0, toolCall: toolCalls[0] })

    const result = {
      role: 'tool',
      content: 'sunny, 21 degrees',
      toolCallId: toolCalls[0]?.id ?? '',
    } as const
    const answer = await chat.send([result])
    expect(answer.text).toMatch(/sunny/u)
    expect(answer.text).toMatch(/21/u)
    expect(answer).toMatchObject({ finishReason: 'stop', toolCalls: [] })
    expect(answer.usage.cachedTokens).toBeGreaterThan(100)
    expect(chat.messages[1]).toEqual({ role: 'assistant', content: '', toolCalls })
    const fresh = await model.generate(chat.messages.slice(0, 3), {
      tools: [WEATHER],
      temperature: 0,
    })
    expect(fresh.tokens).toEqual(answer.tokens)
  })

  test("offers no tools with toolChoice 'none'", async () => {
    await using model = await loadModel(demoModel)
    const options = { temperature: 0, maxTokens: 30 }
    const without = await model.generate('What is the weather in Paris?', options)
    const none = { ...options, tools: [WEATHER], toolChoice: 'none' } as const
    const { tokens, toolCalls } = await model.generate('What is the weather in Paris?', none)
    expect(toolCalls).toEqual([])
    expect(tokens).toEqual(without.tokens)
  })

  test('reasons first if enabled, within its budget', async () => {
    await using model = await loadModel(demoModel)
    const ask = (reasoning: GenerateOptions['reasoning']) =>
      model.generate('What is 12 plus 7?', { reasoning, temperature: 0 })
    const thinking = ask(true)
    const types: string[] = []
    for await (const { type } of thinking) if (types.at(-1) !== type) types.push(type)
    expect(types).toEqual(['reasoning', 'text'])
    const { text, reasoning, usage, tokens } = await thinking
    expect(text).toBe('12 + 7 = 19.')
    expect(reasoning).toMatch(/^ones: .*19\.$/su)
    expect(usage.reasoningTokens).toBeGreaterThan(20)
    expect(usage.reasoningTokens).toBeLessThan(tokens.length)

    expect(await ask(false)).not.toHaveProperty('reasoning')
    const short = await ask({ budget: 6 })
    const closing = await model.tokenizer.encode('\n</think>\n\n', { addSpecialTokens: false })
    expect(short.usage.reasoningTokens).toBeLessThanOrEqual(6 + closing.length)
    expect(short.tokens.slice(0, 6)).toEqual(tokens.slice(0, 6))
    expect(short.tokens.slice(6, 6 + closing.length)).toEqual(closing)
    expect(short.text).not.toMatch(/think|^\n/u)
    expect(short.text).not.toBe('')
  })
})

describe('tool calls', () => {
  const CALL = ['{"name": "get_weather", ', '"arguments": {"ci', 'ty": "Pa', 'ris"}}']

  test('are recognised between texts, wherever tags are split', async () => {
    const pieces = [
      'Let me see.',
      ' <tool',
      '_call>\n',
      ...CALL,
      '\n</tool_',
      'call>',
      ' Done',
      ' <',
      'tool>',
    ]
    const { chunks, result } = await say(pieces, { tools: [WEATHER] })
    expect(result.text).toBe('Let me see.  Done <tool>')
    expect(result.toolCalls).toMatchObject([{ name: 'get_weather', arguments: { city: 'Paris' } }])
    expect(result.finishReason).toBe('tool-calls')
    const order = chunks.map((chunk) => chunk.type).filter((type, at, all) => type !== all[at - 1])
    expect(order).toEqual(['text', 'tool-call-delta', 'tool-call', 'text'])
  })

  test('that are malformed are returned as text', async () => {
    const pieces = ['<tool_call>', '{"name": 7}', '</tool_call>', ' so']
    const { result } = await say(pieces, { tools: [WEATHER] })
    expect(result).toMatchObject({ text: pieces.join(''), toolCalls: [], finishReason: 'stop' })
  })

  test('that are truncated are returned as text', async () => {
    const pieces = ['<tool_call>', ...CALL, '</tool_call>']
    const { result } = await say(pieces, { tools: [WEATHER], maxTokens: 3 })
    expect(result).toMatchObject({
      text: pieces.slice(0, 3).join(''),
      toolCalls: [],
      finishReason: 'length',
    })
  })

  test('are returned as text if no tools are offered', async () => {
    const pieces = ['<tool_call>', ...CALL, '</tool_call>']
    const { result } = await say(pieces)
    expect(result).toMatchObject({ text: pieces.join(''), toolCalls: [], finishReason: 'stop' })
  })

  test('also end at a stop string', async () => {
    const pieces = ['<tool_call>', ...CALL, '</tool_call>', ' never']
    const { result } = await say(pieces, { tools: [WEATHER], stop: ['Paris'] })
    expect(result).toMatchObject({ stopString: 'Paris', toolCalls: [], finishReason: 'stop' })
    expect(result.text).toBe('<tool_call>{"name": "get_weather", "arguments": {"city": "')
  })
})

describe('special tokens as stop strings', () => {
  const pieces = ['Hi', ' there', '<|eot|>', ' and', ' on', '<|next|>', ' more']
  const script = { special: ['<|eot|>', '<|next|>'], template: '' }

  test('end the answer, and are not shown', async () => {
    const { result } = await say(pieces, { stop: ['never', '<|next|>', '<|eot|>'] }, script)
    expect(result).toMatchObject({ text: 'Hi there', stopString: '<|eot|>', finishReason: 'stop' })
    const later = await say(pieces, { stop: ['<|next|>'] }, script)
    expect(later.result).toMatchObject({ text: 'Hi there and on', stopString: '<|next|>' })
  })

  test('may be parts of stop strings', async () => {
    const stops = {
      'there<|eot|>': 'Hi ',
      '<|eot|> and': 'Hi there',
      'on<|next|> mo': 'Hi there and ',
    }
    for (const [stop, text] of Object.entries(stops)) {
      const { result } = await say(pieces, { stop: [stop] }, script)
      expect(result).toMatchObject({ text, stopString: stop })
    }
    const { result } = await say(pieces, { stop: ['<|eot|> or', '<|next|>!'] }, script)
    expect(result.text).toBe('Hi there and on more')
  })

  test('are left out where they are none', async () => {
    const { result } = await say(pieces, { stop: ['never'] }, script)
    expect(result.text).toBe('Hi there and on more')
    expect(result.stopString).toBeUndefined()
  })
})

describe('special tokens that mark channels', () => {
  const special = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>', '<|constrain|>']
  const script = { special, template: '{# <|channel|> <|message|> <|call|> #}' }
  const START = ['<|start|>', 'assistant', '<|channel|>']

  test('separate reasoning from the answer, and are not shown', async () => {
    const pieces = [...START, 'analysis', '<|message|>', 'Hm', '.', '<|end|>', 'Well.']
    const { result } = await say(pieces, {}, script)
    expect(result).toMatchObject({ reasoning: 'Hm.', text: 'Well.', finishReason: 'stop' })
    expect(result.usage).toMatchObject({ completionTokens: 9, reasoningTokens: 4 })
  })

  test('separate calls from both', async () => {
    const header = ['commentary to=functions.get_weather ', '<|constrain|>', 'json', '<|message|>']
    const pieces = [...START, ...header, '{"city"', ': "Rome"}']
    const { result } = await say(pieces, { tools: [WEATHER] }, script)
    const toolCalls = [{ name: 'get_weather', arguments: { city: 'Rome' } }]
    expect(result).toMatchObject({ text: '', toolCalls, finishReason: 'tool-calls' })
  })

  test('are no text where the answer is cut off', async () => {
    const pieces = [...START, 'analysis', '<|message|>', 'Hm', '<|end|>', '<|start|> ', 'final']
    for (let maxTokens = 1; maxTokens <= 5; maxTokens++) {
      const { result } = await say(pieces, { maxTokens }, script)
      expect(result).toMatchObject({ text: '', finishReason: 'length' })
    }
  })

  test('are omitted from raw output', async () => {
    const { folder, prompt } = makeScriptedModel(
      [...START, 'analysis', '<|message|>', 'Hm'],
      script,
    )
    await using model = await loadModel(folder)
    const { text } = await model.generate(prompt, { temperature: 0 })
    expect(text).toBe('assistantanalysisHm')
  })
})

describe('reasoning', () => {
  const PIECES = ['<think>', '\n', 'Hm', '.\n', '</think>', '\n\n', 'Well', '.']

  test('excludes its tags and the line breaks around them', async () => {
    const { result } = await say(PIECES)
    expect(result).toMatchObject({ reasoning: 'Hm.', text: 'Well.', finishReason: 'stop' })
    expect(result.usage.reasoningTokens).toBe(5)
  })

  test('may stand between brackets', async () => {
    const pieces = ['[THINK]', 'Hm', '[/THINK]', 'Well']
    const special = ['[THINK]', '[/THINK]']
    const { result } = await say(pieces, {}, { special, template: '{# [TOOL_CALLS] #}' })
    expect(result).toMatchObject({ reasoning: 'Hm', text: 'Well' })
    const plain = await say(pieces.slice(0, 2), {}, { template: '' })
    expect(plain.result).toMatchObject({ text: '[THINK]Hm' })
  })

  test("may be opened by the template, but not by the user's text", async () => {
    const rest = ['Hm', '</think>', 'Well', '<think>']
    const opened = '{{ messages[-1].content }}{% if add_generation_prompt %}<think>{% endif %}'
    const begun = await say(rest.slice(0, 3), {}, { template: opened, vocabulary: ['<think>'] })
    expect(begun.result).toMatchObject({ reasoning: 'Hm', text: 'Well' })

    const { folder } = makeScriptedModel(['Well', '</think>'], {
      template: '{{ messages[-1].content }}',
      vocabulary: ['<think>'],
    })
    await using model = await loadModel(folder)
    const { text, reasoning } = await model.generate('What is <think>?', { temperature: 0 })
    expect({ text, reasoning }).toEqual({ text: 'Well</think>', reasoning: undefined })
  })

  test("is switched by the template's own variable", async () => {
    const template = '{% if enable_thinking is false %}{{ raise_exception("off") }}{% endif %}'
    await expect(say(['Hi'], { reasoning: false }, { template })).rejects.toThrow(/off/u)
    await expect(say(['Hi'], { reasoning: true }, { template })).resolves.toBeDefined()
  })

  test('is rejected if it is not supported', async () => {
    const error = { code: 'ERR_INVALID_ARG_VALUE', message: /reasoning/u }
    await expect(say(['Hi'], { reasoning: true })).rejects.toMatchObject(error)
    await expect(say(PIECES, { reasoning: false })).rejects.toMatchObject(error)
    await expect(say(['Hi'], { reasoning: false })).resolves.toBeDefined()
    await using model = await loadModel(demoModel)
    for (const reasoning of [1, 'yes', { budget: -1 }, { budget: 1.5 }, {}, { effort: 1 }]) {
      await expect(
        model.generate('Hi', { reasoning: reasoning as unknown as boolean }),
      ).rejects.toMatchObject({
        code: expect.stringMatching(/ERR_OUT_OF_RANGE|ERR_INVALID_ARG_VALUE/u) as string,
      })
    }
  })
})
