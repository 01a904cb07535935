// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Tiny models that transformers saved, and its own log-probabilities (tools/parity/transformers_oracle.py).

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { letters, makeModel, root } from './helpers/models'
import { integers, numbers, parseSafetensors } from './helpers/safetensors'

const FIXTURES = join(root, '__test__/transformers')
/** Of log-probabilities. */
const { transformers: TOLERANCE } = JSON.parse(
  readFileSync(join(root, 'tools/parity/tolerances.json'), 'utf8'),
) as { transformers: { abs: number } }
/** The config of a release before transformers 5, with the same weights. */
const OLDER = 'config.older.json'
/** Where we do not compute what transformers does yet. A case that does fails here until it is taken out. */
const OPEN = new Set([
  'gemma',
  'gemma (older form)',
  'gemma-untied',
  'gemma-untied (older form)',
  'gemma3-native',
  'gemma3_text-layer-types',
  'gemma3_text-layer-types (older form)',
  'gemma3n_text-clip',
  'gemma3n_text-clip (older form)',
  'gemma4',
  'gemma4-moe',
  'gemma4_text',
  'gemma4_text-equal-values',
  'gemma4_text-factor',
  'gemma4_text-moe',
  'gemma4_text-shared',
  'gemma4_unified',
  'llama-tied-with-head',
  'llama4',
  'llama4 (older form)',
  'llama4-layers',
  'llama4-layers (older form)',
  'llama4-native',
  'llama4_text',
  'llama4_text (older form)',
  'llama4_text-dense',
  'llama4_text-dense (older form)',
  'llama4_text-layers',
  'llama4_text-layers (older form)',
  'llama4_text-llama3',
  'llama4_text-llama3 (older form)',
  'mixtral-head-dim',
  'mixtral-head-dim (older form)',
  'mixtral-native',
  'phi-norms',
  'phi-norms (older form)',
  'phimoe-native',
  'phimoe-unbiased',
  'phimoe-unbiased (older form)',
  'qwen2_moe-dense-layers',
  'qwen2_moe-dense-layers (older form)',
  'qwen2_moe-unbiased',
  'qwen2_moe-unbiased (older form)',
  'qwen3-bias',
  'qwen3-bias (older form)',
  'qwen3_5',
  'qwen3_5_moe',
  'qwen3_5_moe_text',
  'qwen3_5_moe_text-native',
  'qwen3_5_text',
  'qwen3_5_text-layer-types',
  'qwen3_5_text-tied',
  'qwen3_next',
  'qwen3_next (older form)',
  'qwen3_next-layer-types',
  'qwen3_next-layer-types (older form)',
  'qwen3_next-native',
  'qwen3_vl_moe',
])

const cases = readdirSync(FIXTURES).flatMap((name) => {
  const folder = join(FIXTURES, name)
  const newest = { name, folder, form: 'config.json' }
  if (!existsSync(join(folder, OLDER))) return [newest]
  return [newest, { name: `${name} (older form)`, folder, form: OLDER }]
})

async function compare(folder: string, form: string): Promise<void> {
  const files = {
    'config.json': readFileSync(join(folder, form)),
    'tokenizer.json': letters(),
    'tokenizer_config.json': JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast' }),
  }
  const expected = parseSafetensors(readFileSync(join(folder, 'expected.safetensors')))
  const [prompt, tokens] = [integers(expected, 'prompt'), integers(expected, 'tokens')]
  const [top, logprobs] = [integers(expected, 'top'), numbers(expected, 'logprobs')]
  const model = await loadModel(makeModel({ from: folder, files }), { device: 'cpu' })
  const options = { maxTokens: tokens.length, temperature: 0, ignoreEos: true, logprobs: 20 }
  const made = await model.generate(prompt, options)
  await model.dispose()
  expect(made.tokens).toEqual(tokens)
  const steps = made.logprobs ?? []
  expect(steps).toHaveLength(tokens.length)
  for (const [index, step] of steps.entries()) {
    const ours = new Map(step.top.map(({ id, logprob }) => [id, logprob]))
    // At the end of the list two tokens may tie.
    const least = Math.min(...ours.values())
    for (const [rank] of step.top.entries()) {
      const place = index * step.top.length + rank
      const difference = (ours.get(top[place] ?? -1) ?? least) - (logprobs[place] ?? Number.NaN)
      expect(Math.abs(difference)).toBeLessThanOrEqual(TOLERANCE.abs)
    }
  }
}

test('what is open is a case', () => {
  expect([...OPEN].filter((name) => !cases.some((one) => one.name === name))).toEqual([])
})

describe('the log-probabilities are those of transformers', () => {
  for (const { name, folder, form } of cases) {
    const check = OPEN.has(name) ? test.fails : test
    check(name, () => compare(folder, form))
  }
})
