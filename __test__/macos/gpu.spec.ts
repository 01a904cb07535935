// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What only a Mac can show; skipped elsewhere. That a process on the GPU ends as it should is in faults/exit.spec.ts,
// and parity.rs compares all logits on the device that is the default.

import { devices, loadModel, memoryUsage } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { fixtures, generateAsGolden, LIMITS } from '../helpers/golden'
import { demoModel } from '../helpers/models'

/** What may stay after a model, as a part of its weights. */
const REST = 0.01

describe.skipIf(process.platform !== 'darwin')("a Mac's GPU", () => {
  test('is available, so its kernels have been found, and is the default', async () => {
    expect(devices()).toEqual(['gpu', 'cpu'])
    await using model = await loadModel(demoModel)
    expect(model.device).toBe('gpu')
    const { text } = await model.generate('What is the capital of France?', { temperature: 0 })
    expect(text).toContain('Paris')
  })

  test.each(fixtures)('computes what mlx-lm does: %s', async (name) => {
    const { dtype, greedy, result, apart } = await generateAsGolden(name, 'gpu')
    expect(apart).toBeLessThan(LIMITS[dtype])
    // In half precision, tokens may tie.
    if (dtype === 'float32') expect(result.tokens.slice(0, greedy.length)).toEqual(greedy)
  })

  test('gives the memory of a model back', async () => {
    const before = await memoryUsage()
    const model = await loadModel(demoModel)
    const weights = model.memoryUsage
    await model.chat().send('Hello', { maxTokens: 50 })
    const during = await memoryUsage()
    expect(during.active - before.active).toBeGreaterThanOrEqual(weights)
    await model.dispose()
    const after = await memoryUsage()
    expect(after.active - before.active).toBeLessThan(weights * REST)
  })
})
