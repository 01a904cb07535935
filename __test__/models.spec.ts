// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Every architecture through the public API: it loads, generates what mlx-lm generates, and goes away.

import { expect, test } from 'vitest'
import { fixtures, generateAsGolden, LIMITS } from './helpers/golden'

test.each(fixtures)('%s', async (name) => {
  const { prompt, greedy, result, apart } = await generateAsGolden(name, 'cpu')
  expect(result.tokens.slice(0, greedy.length)).toEqual(greedy)
  expect(result.usage).toMatchObject({
    promptTokens: prompt.length,
    completionTokens: greedy.length + 1,
  })
  expect(apart).toBeLessThan(LIMITS.float32)
})
