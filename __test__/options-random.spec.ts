// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Options of `generate` with random values: each is taken or refused by its name, and whatever is taken gives tokens that
// the model has. `npm run fuzz -- 60 generate_options` goes on in Rust.

import * as fc from 'fast-check'
import { loadModel, type GenerateOptions, type Model, type NodeMlxError } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { llama } from './helpers/models'

const INT32_MAX = 2 ** 31 - 1

/** What lib/types.ts says of each number: its ends, and whether it is an integer. */
const RANGES: Record<string, [min: number, max: number, integer?: 'integer']> = {
  maxTokens: [1, INT32_MAX, 'integer'],
  temperature: [0, Number.MAX_VALUE],
  topP: [0, 1],
  topK: [0, INT32_MAX, 'integer'],
  minP: [0, 1],
  minTokensToKeep: [1, INT32_MAX, 'integer'],
  xtcProbability: [0, 1],
  xtcThreshold: [0, 0.5],
  repetitionPenalty: [0.01, 100],
  repetitionContextSize: [0, INT32_MAX, 'integer'],
  presencePenalty: [-100, 100],
  presenceContextSize: [0, INT32_MAX, 'integer'],
  frequencyPenalty: [-100, 100],
  frequencyContextSize: [0, INT32_MAX, 'integer'],
  seed: [0, Number.MAX_SAFE_INTEGER, 'integer'],
  prefillStepSize: [1, INT32_MAX, 'integer'],
  maxKvSize: [8, INT32_MAX, 'integer'],
  quantizedKvStart: [0, INT32_MAX, 'integer'],
}

const prompt = [1, 2, 3]
/** Short, however many tokens are asked for: the end of the text is likely. */
const short = { maxTokens: 1, logitBias: { 287: 100 } }
/** The same values in every run of the tests. */
const sample = { seed: 1, numRuns: 100 }

let model: Model
beforeAll(async () => {
  model = await loadModel(llama)
})
afterAll(() => model.dispose())

/** `taken`, or the code of the error and the option that it names. */
function outcome(options: object): Promise<string> {
  return model.generate(prompt, { ...short, ...options }).then(
    () => 'taken',
    (error: unknown) => {
      const { code, details } = error as NodeMlxError
      return `${code} ${String(details?.['name'])}`
    },
  )
}

describe('a number is accepted if it is in its range:', () => {
  test.each(Object.entries(RANGES))('%s', async (name, [min, max, integer]) => {
    const ends = [min, max].flatMap((end) => [end - 1, end - 0.001, end, end + 0.001, end + 1])
    const values = fc.oneof(
      fc.constantFrom(...ends, 0, -0, 0.5, NaN, -Infinity, Infinity, Number.MIN_VALUE, 1e18),
      fc.integer(),
      fc.double(),
      fc.double({ min, max, noNaN: true }),
      fc.anything(),
    )
    const expected = (value: unknown) => {
      if (value === undefined) return 'taken'
      if (typeof value !== 'number') return `ERR_INVALID_ARG_VALUE ${name}`
      const off = name === 'repetitionPenalty' && value === 0
      const fits = value >= min && value <= max && (!integer || Number.isInteger(value))
      return fits || off ? 'taken' : `ERR_OUT_OF_RANGE ${name}`
    }
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        expect(await outcome({ [name]: value })).toBe(expected(value))
      }),
      sample,
    )
  })
})

test('any value of any option is accepted, or rejected by name', async () => {
  const others =
    'logitBias stop ignoreEos logprobs kvBits kvGroupSize onPromptProgress tools toolChoice strictTools reasoning documents chatTemplateArgs continueFinalMessage raw signal onAbort cache'
  const names = [...Object.keys(RANGES), ...others.split(' ')]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), fc.anything(), async (name, value) => {
      expect(await outcome({ [name]: value })).toMatch(
        new RegExp(`^(taken|ERR_(INVALID_ARG_VALUE|OUT_OF_RANGE) ${name}.*)$`, 'u'),
      )
    }),
    { ...sample, numRuns: 1000 },
  )
})

test('accepted options generate only tokens of the vocabulary', async () => {
  const numbers = Object.entries(RANGES).map(([name, [min, max, integer]]) => [
    name,
    fc.oneof(
      fc.constantFrom(min, max),
      integer
        ? fc.integer({ min, max: Math.min(max, 300) })
        : fc.double({ min, max: Math.min(max, 4), noNaN: true }),
    ),
  ])
  const options = fc.record(
    {
      ...(Object.fromEntries(numbers) as Record<string, fc.Arbitrary<number>>),
      logitBias: fc.dictionary(
        fc.nat(model.vocabSize - 1).map(String),
        fc.double({ min: -100, max: 100, noNaN: true }),
      ),
      stop: fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 3 }),
      ignoreEos: fc.boolean(),
      logprobs: fc.oneof(fc.boolean(), fc.nat(20)),
      kvBits: fc.constantFrom(2, 3, 4, 5, 6, 8),
      kvGroupSize: fc.constantFrom(32, 64, 128),
    },
    { requiredKeys: [] },
  )
  const run = async (given: object) => {
    const { maxTokens = 3, ...rest } = given as GenerateOptions
    const most = Math.min(maxTokens, 3)
    const { text, tokens, logprobs } = await model.generate(prompt, { ...rest, maxTokens: most })
    expect(tokens.length).toBeLessThanOrEqual(most)
    expect(tokens.filter((id) => id >= model.vocabSize)).toEqual([])
    expect(rest.stop?.filter((stop) => text.includes(stop)) ?? []).toEqual([])
    expect(logprobs?.filter(({ logprob }) => !(logprob <= 0.001)) ?? []).toEqual([])
  }
  await fc.assert(
    fc.asyncProperty(options, (given) =>
      // What heads can be quantized depends on the model.
      run(given).catch((error: NodeMlxError) => {
        if (!['kvBits', 'kvGroupSize'].includes(String(error.details?.['name']))) throw error
      }),
    ),
    { ...sample, numRuns: 400 },
  )
})
