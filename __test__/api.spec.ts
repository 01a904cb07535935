// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { inspect } from 'node:util'
import * as mlx from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { demoModel, fixture, llama, makeModel } from './helpers/models'

const manifest = readJson<{ version: string }>('../package.json')
const golden = readJson<{ prompt: number[]; greedy: number[]; text: string }>(
  'fixtures/llama/golden.json',
)

test('ESM and CommonJS share one package, down to the error class', () => {
  const common = createRequire(import.meta.url)('node-mlx') as typeof mlx
  expect(
    Object.keys(mlx)
      .filter((name) => name !== 'default')
      .toSorted(),
  ).toEqual(Object.keys(common).toSorted())
  expect(mlx.NodeMlxError).toBe(common.NodeMlxError)
})

test('the versions are those of the package and of MLX', () => {
  expect(mlx.version).toBe(manifest.version)
  expect(mlx.mlxVersion).toMatch(/^\d+\.\d+\.\d+/u)
})

test('devices() includes the CPU, and model.device is the device in use', async () => {
  expect(mlx.devices()).toContain('cpu')
  await using model = await mlx.loadModel(llama, { device: 'cpu' })
  expect(model.device).toBe('cpu')
})

test('memory is reported in bytes, and freed by dispose', async () => {
  const before = await mlx.memoryUsage()
  const model = await mlx.loadModel(llama)
  const loaded = await mlx.memoryUsage()
  expect(loaded.active - before.active).toBeGreaterThanOrEqual(model.memoryUsage)
  expect(loaded.peak).toBeGreaterThanOrEqual(loaded.active)
  await model.dispose()
  expect((await mlx.memoryUsage()).active).toBeLessThan(loaded.active)
})

test('limits are set in bytes, and checked', async () => {
  for (const set of [mlx.setCacheLimit, mlx.setMemoryLimit]) {
    const before = await set(2 ** 30)
    expect(before).toBeGreaterThan(0)
    expect(await set(before)).toBe(2 ** 30)
  }
  for (const bytes of [-1, 1.5, NaN, 2 ** 60]) {
    await expect(mlx.setCacheLimit(bytes)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    await expect(mlx.setMemoryLimit(bytes)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  }
})

test('the number of threads is set, and checked', async () => {
  const before = await mlx.setThreads(3)
  expect(before).toBeGreaterThan(0)
  expect(await mlx.setThreads(before)).toBe(3)
  for (const count of [0, -1, 1.5, NaN, 1025])
    await expect(mlx.setThreads(count)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
})

describe('loadModel', () => {
  test('returns the properties of the model', async () => {
    await using model = await mlx.loadModel(llama)
    expect(model).toMatchObject({ id: llama, path: llama, modelType: 'llama' })
    expect(model).toMatchObject({ contextLength: 512, vocabSize: 288, parameterCount: 37_024 })
    expect(model.quantization).toBeUndefined()
  })

  test('returns the quantization of the weights', async () => {
    const folder = fixture('llama-4bit')
    const { quantization } = readJson<{ quantization: { bits: number; group_size: number } }>(
      'fixtures/llama-4bit/config.json',
    )
    await using model = await mlx.loadModel(folder)
    expect(model.quantization).toEqual({
      bits: quantization.bits,
      groupSize: quantization.group_size,
      mode: 'affine',
    })
  })

  test('reports its progress up to the end', async () => {
    const events: mlx.LoadProgress[] = []
    await using _ = await mlx.loadModel(llama, { onProgress: (event) => events.push(event) })
    expect(events.length).toBeGreaterThan(0)
    const last = events.at(-1)
    expect(last).toEqual({ stage: 'load', loaded: last?.total, total: last?.total })
  })

  test('rejects unknown options', async () => {
    await expect(mlx.loadModel(llama, { branch: 'main' } as object)).rejects.toMatchObject({
      name: 'NodeMlxError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('branch') as string,
      details: { name: 'branch' },
    })
  })
})

describe('generate', () => {
  test('continues token ids as mlx-lm does', async () => {
    await using model = await mlx.loadModel(llama, { device: 'cpu' })
    const result = await model.generate(golden.prompt, {
      maxTokens: golden.greedy.length,
      temperature: 0,
      ignoreEos: true,
    })
    expect(result).toMatchObject({
      tokens: golden.greedy,
      finishReason: 'length',
      usage: { promptTokens: golden.prompt.length, completionTokens: golden.greedy.length },
    })
    for (const value of Object.values(result.timings)) expect(value).toBeGreaterThanOrEqual(0)
    expect(result.timings.generationTokensPerSecond).toBeGreaterThan(0)
    expect(result.peakMemory).toBeGreaterThan(0)
  })

  test('stops at an end-of-sequence token', async () => {
    await using model = await mlx.loadModel(llama, { device: 'cpu' })
    const { tokens, finishReason } = await model.generate(golden.prompt, { temperature: 0 })
    const end = golden.greedy.findIndex((id) => model.tokenizer.eosTokenIds.includes(id))
    expect(finishReason).toBe('stop')
    expect(golden.greedy.slice(0, end + 1).join()).toMatch(new RegExp(`^${tokens.join()}`, 'u'))
  })

  test('treats a string as a user message, and passes a raw string unchanged', async () => {
    await using model = await mlx.loadModel(llama)
    const options = { maxTokens: 12, temperature: 0, ignoreEos: true }
    const { tokenizer } = model
    const messages: mlx.Message[] = [{ role: 'user', content: 'the time' }]
    const prompt = await tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })

    const plain = await model.generate('the time', options)
    expect(await model.generate(messages, options)).toMatchObject({ tokens: plain.tokens })
    const ids = await tokenizer.encode(prompt, { addSpecialTokens: false })
    expect(await model.generate(ids, options)).toMatchObject({ tokens: plain.tokens })

    const raw = await model.generate('the time', { ...options, raw: true })
    expect(raw.usage.promptTokens).toBeLessThan(plain.usage.promptTokens)
    const bare = await tokenizer.encode('the time')
    expect(await model.generate(Uint32Array.from(bare), options)).toMatchObject({
      tokens: raw.tokens,
    })
  })

  test('passes tools, documents and extra variables to the chat template', async () => {
    const template =
      '{{ tools[0].function.name }} {{ documents[0].title }} {{ mood }} {{ messages[0].content }}'
    await using model = await mlx.loadModel(
      makeModel({ tokenizerConfig: { chat_template: template } }),
    )
    const options: mlx.SendOptions = {
      maxTokens: 8,
      temperature: 0,
      cache: 'none',
      tools: [{ type: 'function', function: { name: 'clock' } }],
      documents: [{ title: 'A book', text: 'Once.' }],
      chatTemplateArgs: { mood: 'calm' },
    }
    const text = 'clock A book calm hi'
    const prompt = await model.tokenizer.encode(text, { addSpecialTokens: false })
    const { tokens, usage } = await model.generate(prompt, { maxTokens: 8, temperature: 0 })
    expect(await model.generate('hi', options)).toMatchObject({ tokens, usage })
    using chat = model.chat(options)
    expect(await chat.send('hi')).toMatchObject({ tokens, usage })
  })

  test('continues the final message', async () => {
    const template =
      '{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}[{% endif %}'
    await using model = await mlx.loadModel(
      makeModel({ tokenizerConfig: { chat_template: template } }),
    )
    const options = { maxTokens: 8, temperature: 0 }
    const messages: mlx.Message[] = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'the time ' },
    ]
    const prompt = await model.tokenizer.encode('[hi][the time ', { addSpecialTokens: false })
    const { tokens, text } = await model.generate(prompt, options)
    const continued = model.generate(messages, { ...options, continueFinalMessage: true })
    expect(await continued).toMatchObject({ tokens, text })
    const answered = await model.generate(messages, { ...options, continueFinalMessage: false })
    expect(answered.usage.promptTokens).toBeGreaterThan(prompt.length)
  })

  test.each([
    [
      [
        { role: 'assistant', content: 'a' },
        { role: 'user', content: 'b' },
      ],
    ],
    ['text'],
    [[1, 2, 3]],
    [new Uint32Array(3)],
    [[null]],
    [undefined],
  ])('has nothing to continue in %j', async (prompt) => {
    await using model = await mlx.loadModel(llama)
    const run = model.generate(prompt as mlx.Prompt, { continueFinalMessage: true })
    await expect(run).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      details: { name: 'continueFinalMessage' },
    })
  })

  test('continues a message that ends inside its reasoning', async () => {
    await using demo = await mlx.loadModel(demoModel)
    const run = (content: string) =>
      demo.generate(
        [
          { role: 'user', content: 'What is 2 + 2?' },
          { role: 'assistant', content },
        ],
        { maxTokens: 3, temperature: 0, continueFinalMessage: true },
      )
    const inThought = await run('<think>\nThe sum is')
    expect(inThought.text).toBe('')
    expect(inThought.reasoning).not.toBe('')
    const afterwards = await run('<think>\nHm.\n</think>\n\nThe sum is')
    expect(afterwards).not.toHaveProperty('reasoning')
    expect(afterwards.text).not.toBe('')
  })

  test('reports the progress of a long prompt in steps', async () => {
    await using model = await mlx.loadModel(llama)
    const seen: number[] = []
    await model.generate(new Uint32Array(200), {
      maxTokens: 1,
      prefillStepSize: 50,
      onPromptProgress: ({ processed, total }) => {
        expect(total).toBe(200)
        seen.push(processed)
      },
    })
    expect(seen.length).toBeGreaterThanOrEqual(4)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    expect(seen.at(-1)).toBe(200)
  })
})

test('errors carry a code, details and one readable line', async () => {
  const error = await mlx.loadModel('/no/such/folder').catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(mlx.NodeMlxError)
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'NodeMlxError',
    code: 'ERR_MODEL_NOT_FOUND',
    message: expect.stringContaining('/no/such/folder') as string,
    details: { path: '/no/such/folder' },
  })
})

describe('printed in one line', () => {
  test('are a model, its tokenizer, a chat and a run', async () => {
    const model = await mlx.loadModel(fixture('llama-4bit'), { device: 'cpu' })
    const path = fixture('llama-4bit')
    const name = `Model '${path}' (llama, 0.0925M parameters, 4 bits, cpu)`
    expect(inspect(model)).toBe(name)
    expect(inspect({ deep: { in: [model] } })).toContain(name)
    expect(inspect(model.tokenizer)).toBe('Tokenizer (288 tokens, chat template)')

    const chat = model.chat({ maxTokens: 3, ignoreEos: true })
    expect(inspect(chat)).toBe('Chat (0 messages)')
    const generation = chat.send('hi')
    expect(inspect(generation)).toBe('Generation (running, 0 tokens)')
    expect(inspect(chat)).toBe('Chat (0 messages, answering)')
    await generation
    expect(inspect(generation)).toBe('Generation (length, 3 tokens)')
    expect(inspect(chat)).toBe('Chat (2 messages)')
    expect(inspect(model.generate(''))).toBe('Generation (ERR_INVALID_ARG_VALUE, 0 tokens)')

    await model.dispose()
    chat.dispose()
    expect(inspect(model)).toBe(name.replace('cpu', 'disposed'))
    expect(inspect(chat)).toBe('Chat (2 messages, disposed)')
  })

  test('a model is short as JSON, too', async () => {
    await using model = await mlx.loadModel(demoModel, { device: 'cpu' })
    const json = JSON.parse(JSON.stringify(model)) as object
    const { bosToken, eosTokenIds, chatTemplate } = model.tokenizer
    expect(chatTemplate?.length).toBeGreaterThan(1000)
    expect(json).toEqual({
      id: demoModel,
      path: demoModel,
      modelType: model.modelType,
      contextLength: model.contextLength,
      vocabSize: model.vocabSize,
      parameterCount: model.parameterCount,
      ...(model.quantization && { quantization: model.quantization }),
      device: 'cpu',
      tokenizer: { ...(bosToken !== undefined && { bosToken }), eosTokenIds },
    })
  })
})

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, path), 'utf8')) as T
}
