// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The options of `generate`: what mlx-lm makes of them (tools/parity/options.py), and what it leaves to chance.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as mlx from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { fixture, letters, llama, makeModel, root } from './helpers/models'
import { widen } from './helpers/safetensors'

interface Case {
  fixture: string
  name: string
  options: Record<string, unknown>
  prompt: number[]
  tokens: number[]
  logprobs: number[]
}

const cases = readJson<Case[]>('__test__/fixtures/options.json')
const tolerances = readJson<{ f32: { abs: number } }>('tools/parity/tolerances.json')

const GREEDY = { temperature: 0, ignoreEos: true, logprobs: true }

test.each(cases)('$fixture: $name', async ({ fixture: from, options, prompt, ...golden }) => {
  await using model = await loadF32(from)
  const run = (more: object) =>
    model.generate(prompt, { ...GREEDY, maxTokens: golden.tokens.length, ...more })
  const { tokens, logprobs } = await run(camelCase(options))
  expect(tokens).toEqual(golden.tokens)
  expect(furthest(logprobs, golden.logprobs)).toBeLessThan(tolerances.f32.abs)
  const { logprobs: plain } = await run({})
  expect(furthest(plain, golden.logprobs)).toBeGreaterThan(10 * tolerances.f32.abs)
})

describe('the KV cache', () => {
  test('is quantized from the requested token', async () => {
    await using model = await loadF32('llama-gqa-4bit')
    const options = { ...GREEDY, maxTokens: 20, kvBits: 4, kvGroupSize: 32 }
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8]
    const late = await model.generate(prompt, { ...options, quantizedKvStart: 12 })
    const never = await model.generate(prompt, { ...options, quantizedKvStart: 100 })
    expect(late.logprobs?.slice(0, 5)).toEqual(never.logprobs?.slice(0, 5))
    expect(late.logprobs?.[5]).not.toEqual(never.logprobs?.[5])
    const plain = await model.generate(prompt, { ...GREEDY, maxTokens: 20 })
    const logprobs = plain.logprobs?.map(({ logprob }) => logprob) ?? []
    expect(furthest(never.logprobs, logprobs)).toBeLessThan(tolerances.f32.abs)
  })

  test.each([2, 3, 5, 6])('may have %i bits', async (kvBits) => {
    await using model = await loadF32('llama-gqa-4bit')
    const options = { ...GREEDY, maxTokens: 4 }
    const plain = await model.generate([1, 2, 3], options)
    const quantized = await model.generate([1, 2, 3], { ...options, kvBits, kvGroupSize: 32 })
    expect(quantized.tokens).toHaveLength(4)
    expect(quantized.logprobs).not.toEqual(plain.logprobs)
  })

  test.each([
    ['llama', { kvBits: 8, kvGroupSize: 64 }, 'kvGroupSize'],
    ['llama', { kvBits: 8, kvGroupSize: 32, quantizedKvStart: 200 }, 'kvGroupSize'],
    ['llama', { kvBits: 8, kvGroupSize: 32, maxKvSize: 16 }, 'kvBits'],
    ['llama-sliding-4bit', { maxKvSize: 16 }, 'maxKvSize'],
    ['gemma3_text-4bit', { maxKvSize: 16 }, 'maxKvSize'],
    ['qwen3_next-4bit', { maxKvSize: 16 }, 'maxKvSize'],
  ])('of %s refuses %j', async (from, options, name) => {
    await using model = await mlx.loadModel(
      from === 'llama'
        ? llama
        : makeModel({ from: fixture(from), files: { 'tokenizer.json': letters() } }),
    )
    const chunks: unknown[] = []
    const refused = async () => {
      for await (const chunk of model.generate([1, 2, 3], { maxTokens: 20, ...options }))
        chunks.push(chunk)
    }
    await expect(refused()).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      details: { name },
    })
    expect(chunks).toEqual([])
  })
})

describe('logprobs', () => {
  test('are part of the chunks and the result, most likely first', async () => {
    await using model = await mlx.loadModel(llama)
    const generation = model.generate('the time', {
      maxTokens: 30,
      temperature: 1,
      seed: 3,
      logprobs: 5,
    })
    const fromChunks: mlx.TokenLogprobs[] = []
    for await (const { tokens, logprobs = [] } of generation) {
      expect(logprobs.map(({ id }) => id)).toEqual(tokens)
      fromChunks.push(...logprobs)
    }
    const { logprobs, tokens } = await generation
    expect(logprobs).toEqual(fromChunks)
    expect(logprobs?.map(({ id }) => id)).toEqual(tokens)
    const vocabulary = readJson<{ model: { vocab: Record<string, number> } }>(
      '__test__/fixtures/llama/tokenizer.json',
    ).model.vocab
    for (const { id, token, logprob, top } of fromChunks) {
      expect(token).toBe(Object.keys(vocabulary).find((key) => vocabulary[key] === id) ?? token)
      expect(top).toHaveLength(5)
      expect(top.map((entry) => entry.logprob)).toEqual(
        top.map((entry) => entry.logprob).toSorted((a, b) => b - a),
      )
      expect(top.reduce((sum, entry) => sum + Math.exp(entry.logprob), 0)).toBeLessThanOrEqual(
        1.001,
      )
      const same = top.find((entry) => entry.id === id)
      if (same === undefined) expect(logprob).toBeLessThanOrEqual(top.at(-1)?.logprob ?? NaN)
      else expect(same).toEqual({ id, token, logprob })
    }
  })

  test('list every token of a small vocabulary, and none by default', async () => {
    await using model = await mlx.loadModel(llama)
    const options = { maxTokens: 3, temperature: 0 }
    const some = await model.generate('a', { ...options, logprobs: true })
    expect(some.logprobs?.map(({ top }) => top)).toEqual([[], [], []])
    for (const logprobs of [false, undefined]) {
      expect(await model.generate('a', { ...options, logprobs })).not.toHaveProperty('logprobs')
    }
  })
})

describe('logit bias', () => {
  test('may be a Map', async () => {
    await using model = await mlx.loadModel(llama)
    const run = async (logitBias: mlx.LogitBias) =>
      (await model.generate('a', { ...GREEDY, maxTokens: 5, logitBias })).tokens
    expect(await run({ 65: 100 })).toEqual([65, 65, 65, 65, 65])
    expect(await run(new Map([[65, 100]]))).toEqual([65, 65, 65, 65, 65])
    expect(await run(new Map())).toEqual(await run({}))
    const [first = -1] = await run({})
    expect(await run({ [first]: -100 })).not.toContain(first)
  })
})

describe('XTC', () => {
  const options = { temperature: 0.001, ignoreEos: true, seed: 1, logprobs: 20, maxTokens: 60 }

  test('keeps the least likely token above the threshold', async () => {
    await using model = await mlx.loadModel(llama)
    const newline = await model.tokenizer.encode('\n')
    const special = new Set([...model.tokenizer.eosTokenIds, ...newline])
    const run = (xtcProbability: number) =>
      model.generate('the time', { ...options, xtcProbability, xtcThreshold: 0.05 })
    const choices = (await run(1)).logprobs ?? []
    const expected = choices.map(({ top }) => {
      const above = top.filter(({ logprob }) => Math.exp(logprob) > 0.05)
      const kept = above.find(({ id }, index) => special.has(id) || index === above.length - 1)
      return (kept ?? top[0])?.id
    })
    expect(choices.map(({ id }) => id)).toEqual(expected)
    const greedy = choices.filter(({ id, top }) => id === top[0]?.id)
    expect(greedy.length).toBeLessThan(choices.length / 2)

    const never = await run(0)
    expect(never.logprobs?.every(({ id, top }) => id === top[0]?.id)).toBe(true)
    const sometimes = (await run(0.5)).logprobs ?? []
    const changed = sometimes.filter(({ id, top }) => id !== top[0]?.id)
    expect(changed.length).toBeGreaterThan(0)
    expect(changed.length).toBeLessThan(sometimes.length)
  })

  test('never drops tokens that end a line or the answer', async () => {
    await using model = await mlx.loadModel(llama)
    const [newline = -1] = await model.tokenizer.encode('\n', { addSpecialTokens: false })
    const [end = -1] = model.tokenizer.eosTokenIds
    // The token leads by 1 before the letter A, and both are above the threshold.
    const led = async (id: number) => {
      const run = async (logitBias: mlx.LogitBias, xtcProbability: number) =>
        (
          await model.generate('a', {
            ...options,
            maxTokens: 1,
            logitBias,
            xtcProbability,
            xtcThreshold: 0.1,
          })
        ).logprobs?.[0] ?? expect.fail('no log-probabilities')
      const { top } = await run({ [id]: 60, 65: 60 }, 0)
      const of = (wanted: number) => top.find((entry) => entry.id === wanted)?.logprob ?? NaN
      const chosen = await run({ [id]: 60 + of(65) - of(id) + 1, 65: 60 }, 1)
      expect(chosen.top.slice(0, 2).map((entry) => entry.id)).toEqual([id, 65])
      return chosen.id
    }
    expect(await led(newline)).toBe(newline)
    expect(await led(end)).toBe(end)
    expect(await led(66)).toBe(65)
  })

  test('survives an end-of-sequence id that the model does not have', async () => {
    await using model = await mlx.loadModel(
      makeModel({ config: { eos_token_id: [2 ** 31] }, files: { 'generation_config.json': '{}' } }),
    )
    const { tokens } = await model.generate('a', { ...options, xtcProbability: 1, maxTokens: 5 })
    expect(tokens).toHaveLength(5)
  })
})

test('a model accepts at most maxQueue runs, and further ones when they are done', async () => {
  await using model = await mlx.loadModel(llama, { maxQueue: 3 })
  const options = { maxTokens: 100, ignoreEos: true }
  const runs = [1, 2, 3, 4, 5].map((id) => model.generate([id], options))
  const settled = await Promise.allSettled(runs)
  const failed = settled.slice(3).filter((run) => run.status === 'rejected')
  expect(failed).toHaveLength(2)
  for (const { reason } of failed) {
    expect(reason).toMatchObject({ code: 'ERR_QUEUE_FULL', details: { limit: 3 } })
  }
  expect((await model.generate([1], options)).tokens).toHaveLength(100)
})

test('contextLength bounds prompt and answer instead of what the config says', async () => {
  await using model = await mlx.loadModel(llama, { contextLength: 8 })
  expect(model.contextLength).toBe(8)
  const made = await model.generate([1, 2, 3, 4, 5], { maxTokens: 100, ignoreEos: true })
  expect(made).toMatchObject({ tokens: { length: 3 }, finishReason: 'length' })
  await expect(model.generate(Array.from({ length: 9 }, () => 1))).rejects.toMatchObject({
    code: 'ERR_CONTEXT_OVERFLOW',
    details: { promptTokens: 9, limit: 8 },
  })
  await using longer = await mlx.loadModel(llama, { contextLength: 1_000_000 })
  expect(longer.contextLength).toBe(1_000_000)
})

/** A fixture that computes in f32, as the goldens were made. */
async function loadF32(from: string): Promise<mlx.Model> {
  const files = existsSync(join(fixture(from), 'tokenizer.json'))
    ? {}
    : { 'tokenizer.json': letters() }
  return mlx.loadModel(makeModel({ from: fixture(from), files, weights: widen }), { device: 'cpu' })
}

/** By how much the log-probabilities differ at most. */
function furthest(logprobs: readonly mlx.TokenLogprobs[] = [], golden: readonly number[]): number {
  expect(logprobs).toHaveLength(golden.length)
  return Math.max(
    ...logprobs.map(({ logprob }, index) => Math.abs(logprob - (golden[index] ?? NaN))),
  )
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(root, path), 'utf8')) as T
}

function camelCase(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name.replaceAll(/_(.)/gu, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
}
