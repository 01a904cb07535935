// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { expectCodes, inChild, type Outcome } from '../helpers/child'

test('row 27: an empty prompt and an empty conversation are invalid', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => ({
    text: await outcome(model.generate('')),
    raw: await outcome(model.generate('', { raw: true })),
    list: await outcome(model.generate([])),
    tokens: await outcome(model.generate(new Uint32Array())),
    template: await outcome(model.tokenizer.applyChatTemplate([])),
  }))
  expectCodes(outcomes, 'ERR_INVALID_ARG_VALUE')
})

test('row 28: a prompt longer than the context fails with both lengths', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => ({
    text: await outcome(model.generate('z'.repeat(600), { raw: true })),
    messages: await outcome(model.generate([{ role: 'user', content: 'z'.repeat(600) }])),
    tokens: await outcome(model.generate(Array.from({ length: 600 }, () => 1))),
  }))
  expectCodes(outcomes, 'ERR_CONTEXT_OVERFLOW')
  expect(outcomes.text.details).toEqual({ promptTokens: 600, limit: 512 })
  expect(outcomes.tokens.details).toEqual({ promptTokens: 600, limit: 512 })
})

test('row 29: a prompt of 100 MB is rejected before it is tokenized', async () => {
  const { cpuMs, ...outcomes } = await inChild(async ({ model, outcome }) => {
    const text = 'long '.repeat(20_000_000)
    const before = process.cpuUsage()
    const found = {
      text: await outcome(model.generate(text)),
      messages: await outcome(model.generate([{ role: 'user', content: text }])),
      encode: await outcome(model.tokenizer.encode(text)),
    }
    const { user, system } = process.cpuUsage(before)
    return { ...found, cpuMs: (user + system) / 1000 }
  })
  expectCodes(outcomes, 'ERR_CONTEXT_OVERFLOW')
  expect(outcomes.text.details).toMatchObject({ promptCharacters: 100_000_000, limit: 512 })
  // Time of the processor, on all threads.
  expect(cpuMs).toBeLessThan(50)
})

test('row 30: a lone surrogate is replaced by U+FFFD', async () => {
  const outcomes = await inChild(async ({ model }) => {
    const { tokenizer } = model
    const message = (content: string) => [{ role: 'user' as const, content }]
    const options = { maxTokens: 2, temperature: 0 }
    return {
      encoded: [await tokenizer.encode('a\uD800b'), await tokenizer.encode('a\uFFFDb')],
      rendered: [
        await tokenizer.applyChatTemplate(message('\uDC00 \uD800')),
        await tokenizer.applyChatTemplate(message('\uFFFD \uFFFD')),
      ],
      generated: [
        (await model.generate('a\uD800', options)).tokens,
        (await model.generate('a\uFFFD', options)).tokens,
        (await model.generate(message('a\uD800'), options)).tokens,
      ],
    }
  })
  expect(outcomes.encoded[0]).toEqual(outcomes.encoded[1])
  expect(outcomes.rendered[0]).toEqual(outcomes.rendered[1])
  expect(outcomes.generated[0]).toEqual(outcomes.generated[1])
  expect(outcomes.generated[2]).toEqual(outcomes.generated[1])
})

test('row 31: token ids outside the vocabulary are out of range', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const found: Record<string, Outcome> = {}
    for (const id of [-1, 1.5, NaN, Infinity, 288, 2 ** 32]) {
      found[`generate ${id}`] = await outcome(model.generate([1, id]))
      found[`decode ${id}`] = await outcome(model.tokenizer.decode([1, id]))
    }
    found['typed'] = await outcome(model.generate(Uint32Array.of(1, 288)))
    for (const id of [-1, 1.5, NaN, 288, 2 ** 32]) {
      const logitBias = { [id]: 1 }
      found[`logitBias ${id}`] = await outcome(model.generate('hello', { logitBias }))
      const map = new Map([[id, 1]])
      found[`logitBias, Map ${id}`] = await outcome(model.generate('hello', { logitBias: map }))
    }
    return found
  })
  expectCodes(outcomes, 'ERR_OUT_OF_RANGE')
  expect(outcomes['generate 1.5']?.message).toContain('prompt[1]')
  expect(outcomes['logitBias 288']?.message).toContain('logitBias[288]')
})

test('row 32: options that are out of range, of the wrong type or unknown are rejected by name', async () => {
  const outcomes = await inChild(async ({ model, outcome }) => {
    const outside: object[] = [
      { temperature: NaN },
      { temperature: -1 },
      { temperature: Infinity },
      { topP: 2 },
      { topP: -0.1 },
      { topK: -1 },
      { topK: 0.5 },
      { minP: 1.1 },
      { minTokensToKeep: 0 },
      { maxTokens: -1 },
      { maxTokens: 0 },
      { maxTokens: 1.5 },
      { maxTokens: 1e18 },
      { seed: -1 },
      { seed: 2 ** 53 },
      { prefillStepSize: 0 },
      { xtcProbability: 1.1 },
      { xtcProbability: NaN },
      { xtcThreshold: 0.6 },
      { xtcThreshold: -0.1 },
      { repetitionPenalty: -1 },
      { repetitionPenalty: 1e-9 },
      { repetitionPenalty: 1e9 },
      { repetitionContextSize: -1 },
      { presencePenalty: 101 },
      { presenceContextSize: 2 ** 31 },
      { frequencyPenalty: -101 },
      { frequencyContextSize: 0.5 },
      { logitBias: { 1: NaN } },
      { logitBias: { 1: -Infinity } },
      { logitBias: { 1: 101 } },
      { logprobs: -1 },
      { logprobs: 21 },
      { logprobs: 1.5 },
      { maxKvSize: 0 },
      { maxKvSize: 7 },
      { maxKvSize: 2 ** 31 },
      { quantizedKvStart: -1 },
    ]
    const wrong: object[] = [
      { temperature: '1' },
      { maxTokens: null },
      { maxTokens: 5n },
      { stop: 'text' },
      { stop: [''] },
      { stop: [1] },
      { raw: 1 },
      { signal: {} },
      { onPromptProgress: 'text' },
      { tools: {} },
      { tools: [null] },
      { chatTemplateArgs: [] },
      { chatTemplateArgs: { a: 1n } },
      { xtcProbability: '1' },
      { repetitionPenalty: null },
      { logitBias: [1] },
      { logitBias: 1 },
      { logitBias: { 1: '1' } },
      { logitBias: { '': 1 } },
      { logitBias: { '01': 1 } },
      { logitBias: { one: 1 } },
      { logitBias: new Map([['1', 1]]) },
      { logprobs: 'yes' },
      { kvBits: 7 },
      { kvBits: 16 },
      { kvBits: '8' },
      { kvGroupSize: 48 },
      { maxKvSize: '32' },
      { max_tokens: 5 },
      { nonsense: 5 },
      { constructor: 5 },
    ]
    const run = async (list: object[]) => {
      const found: Record<string, Outcome> = {}
      for (const [index, options] of list.entries()) {
        const [[name, value] = []] = Object.entries(options)
        const ended = await outcome(model.generate('hello', options))
        const named = ended.message?.includes(String(name)) ?? false
        found[`${index}: ${name} ${String(value)} ${named ? '' : 'is not named'}`] = ended
      }
      return found
    }
    return { outside: await run(outside), wrong: await run(wrong) }
  })
  expectCodes(outcomes.outside, 'ERR_OUT_OF_RANGE')
  expectCodes(outcomes.wrong, 'ERR_INVALID_ARG_VALUE')
  const names = Object.keys({ ...outcomes.outside, ...outcomes.wrong })
  expect(names.filter((name) => name.endsWith('is not named'))).toEqual([])
})
