// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Every architecture through the public API: it loads, generates what mlx-lm generates, and goes away.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as mlx from 'node-mlx'
import { expect, test } from 'vitest'
import { fixture, letters, makeModel, root } from './helpers/models'
import { integers, parseSafetensors } from './helpers/safetensors'

const TOKENS = 40

const fixtures = readdirSync(join(root, '__test__/fixtures')).filter((name) =>
  /-(?:dense|4bit|mxfp4|awq|raw)$/u.test(name),
)

test.each(fixtures)('%s', async (name) => {
  const folder = makeModel({ from: fixture(name), files: { 'tokenizer.json': letters() } })
  const golden = parseSafetensors(readFileSync(join(folder, 'golden.safetensors')))
  const prompt = integers(golden, 'short.prompt')
  const greedy = integers(golden, 'short.tokens')
  await using model = await mlx.loadModel(folder, { device: 'cpu' })
  const { tokens, usage } = await model.generate(prompt, {
    maxTokens: TOKENS,
    temperature: 0,
    ignoreEos: true,
  })
  expect(tokens.slice(0, greedy.length)).toEqual(greedy)
  expect(tokens).toHaveLength(TOKENS)
  expect(usage).toMatchObject({ promptTokens: prompt.length, completionTokens: TOKENS })
})
