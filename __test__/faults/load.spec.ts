// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What runs must not notice of each other; __test__/timing has what takes a stopwatch.

import { expect, test } from 'vitest'
import { inChild, type Tools } from '../helpers/child'
import { fixture, letters, makeLongModel, makeModel } from '../helpers/models'

const SAMPLING = {
  temperature: 1,
  topP: 0.95,
  topK: 40,
  xtcProbability: 0.5,
  xtcThreshold: 0.01,
  repetitionPenalty: 1.1,
  presencePenalty: 0.2,
  frequencyPenalty: 0.1,
}

interface Seeds {
  folder: string
  sampling: typeof SAMPLING
  crowd: boolean
}

/** The tokens of one seed, beside 20 runs that began before it, or alone. */
async function tokensOfSeed({ load }: Tools, { folder, sampling, crowd }: Seeds) {
  const model = await load(folder)
  const options = { maxTokens: 24, ignoreEos: true, ...sampling }
  const others = Array.from({ length: crowd ? 20 : 0 }, (_, index) =>
    model.generate([3 + index, 4, 5], { ...options, seed: 100 + index, prefillStepSize: 1 }),
  )
  await others[0]?.[Symbol.asyncIterator]().next()
  const { tokens } = await model.generate([1, 2, 3, 4, 5, 6, 7], { ...options, seed: 42 })
  return { tokens, others: (await Promise.all(others)).map((other) => other.tokens) }
}

const recurrent = () =>
  makeModel({ from: fixture('qwen3_next-4bit'), files: { 'tokenizer.json': letters() } })

test.each([
  ['a KV cache', makeLongModel],
  ['recurrent layers', recurrent],
])(
  'row 36: a seed gives the same tokens alone, beside 20 runs and in another process: %s',
  async (_, makeFolder) => {
    const folder = makeFolder()
    const [alone, busy] = await Promise.all(
      [false, true].map((crowd) => inChild(tokensOfSeed, { folder, sampling: SAMPLING, crowd })),
    )
    expect(alone?.tokens).toHaveLength(24)
    expect(busy?.tokens).toEqual(alone?.tokens)
    const distinct = new Set([...(busy?.others ?? []), busy?.tokens].map(String))
    expect(distinct.size).toBe(21)
  },
)

test(
  'a decoding run makes a step between any two chunks of a long prompt',
  { retry: 3 },
  async () => {
    const chunks = 100
    const seen = await inChild(
      async ({ load, observe }, { folder, chunks: count }) => {
        const model = await load(folder)
        const long = { ignoreEos: true, temperature: 0, maxTokens: 90_000 }
        const decoding = observe(() => model.generate([1], long))
        await decoding.runs[Symbol.asyncIterator]().next()
        const size = 16
        const steps: { processed: number; prefill: number; decode: number }[] = []
        const prefill = observe(() =>
          model.generate(new Uint32Array(count * size), {
            ...long,
            maxTokens: 1,
            prefillStepSize: size,
            onPromptProgress: ({ processed }) => {
              // Both at one time: the prefill makes no step while the other's are read.
              let made
              let others
              do {
                ;[made = 0] = prefill.steps()
                ;[others = 0] = decoding.steps()
              } while (prefill.steps()[0] !== made)
              steps.push({ processed: processed / size, prefill: made, decode: others })
            },
          }),
        )
        await prefill.runs
        decoding.runs.cancel()
        return steps
      },
      { folder: makeLongModel(), chunks },
    )
    expect(seen.map(({ processed }) => processed)).toEqual(
      Array.from(seen, (_, index) => index + 1),
    )
    expect(seen).toHaveLength(chunks)
    // Either may be a step ahead; after the last chunk, which may be made before it is reported, the other run is alone.
    const together = seen.filter(({ prefill }) => prefill < chunks)
    expect(together.length).toBeGreaterThan(chunks / 2)
    const lead = together.map(({ prefill, decode }) => decode - prefill)
    expect(Math.max(...lead) - Math.min(...lead)).toBeLessThanOrEqual(2)
  },
)
