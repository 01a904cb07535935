// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { expectCodes, inChild } from '../helpers/child'
import { makeModel } from '../helpers/models'
import { makeSparseModel } from '../helpers/sparse-model'

test('row 37: weights that do not fit into memory are rejected before they are read', async () => {
  const folders = { huge: makeSparseModel(), small: makeModel() }
  const { again, ...refused } = await inChild(async ({ mlx, outcome }, { huge, small }) => {
    const tooLarge = await outcome(mlx.loadModel(huge))
    const { active } = await mlx.memoryUsage()
    const limit = await mlx.setMemoryLimit(active + 10_000)
    const limited = await outcome(mlx.loadModel(small))
    await mlx.setMemoryLimit(limit)
    return { tooLarge, limited, again: await outcome(mlx.loadModel(small)) }
  }, folders)
  expectCodes(refused, 'ERR_INSUFFICIENT_MEMORY')
  const { tooLarge, limited } = refused
  // Half precision counts as it is stored.
  expect(tooLarge.details?.['required']).toBeGreaterThan(136.9e9)
  expect(tooLarge.details?.['required']).toBeLessThan(137e9)
  expect(tooLarge.details?.['available']).toBeLessThan(136.9e9)
  expect(tooLarge.message).toMatch(/weights take \d+\.\d MB, but only \d+\.\d MB are available/u)
  expect(limited.details?.['available']).toBeLessThan(10_001)
  expect(again).toEqual({ value: 'a model' })
})

test('row 37: a KV cache that would not fit into memory is rejected before the first step', async () => {
  const { long, passes, ...fitting } = await inChild(async (tools) => {
    const { mlx, model, outcome, stepsUntilIdle } = tools
    const { memory } = await mlx.inspectModel(model.path, { context: 256 })
    // Drops what other runs have left.
    await mlx.setChatCacheLimit(await mlx.setChatCacheLimit(0))
    await model.chat().send('hello', { maxTokens: 4 })
    const { active } = await mlx.memoryUsage()
    const limit = await mlx.setMemoryLimit(active + memory.cache * 0.5)
    const run = (maxTokens: number, more = {}) =>
      outcome(
        model
          .generate([1, 2, 3], { maxTokens, ignoreEos: true, temperature: 0, ...more })
          .then(({ tokens }) => tokens.length),
      )
    const outcomes = {
      long: await run(400),
      passes: await stepsUntilIdle(),
      // What the chat had kept has made room for 256 tokens.
      short: await run(200),
      bounded: await run(400, { maxKvSize: 200 }),
    }
    await mlx.setMemoryLimit(limit)
    return { ...outcomes, later: await run(400) }
  })
  expectCodes({ long }, 'ERR_INSUFFICIENT_MEMORY')
  expect(long.message).toMatch(/maxTokens/u)
  const { required, available } = long.details as Record<string, number>
  expect(required).toBeGreaterThan(available as number)
  expect(passes).toBe(0)
  expect(fitting).toEqual({
    short: { value: 200 },
    bounded: { value: 400 },
    later: { value: 400 },
  })
})
