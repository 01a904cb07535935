// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Fixtures through the public API, beside what mlx-lm computes for them (tools/parity/goldens.py says what is recorded).

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel, type GenerationResult } from 'node-mlx'
import { fixture, letters, makeModel, root } from './models'
import { integers, numbers, parseSafetensors } from './safetensors'

const TOP = 20
const CONTEXT = 64

/** The names of the fixtures that are models without an adapter. */
export const fixtures = readdirSync(join(root, '__test__/fixtures')).filter(
  (name) =>
    existsSync(join(fixture(name), 'golden.safetensors')) &&
    !existsSync(join(fixture(name), 'adapters')),
)

const tolerances = readJson(join(root, 'tools/parity/tolerances.json')) as {
  f32: { abs: number }
  bf16_native: { abs: number }
  f16_native: { abs: number }
}

/** How far log-probabilities may be apart: twice as far as logits, because the sum over them may be, too. */
export const LIMITS = {
  float32: 2 * tolerances.f32.abs,
  bfloat16: 2 * tolerances.bf16_native.abs,
  float16: 2 * tolerances.f16_native.abs,
}

interface Compared {
  /** What the weights are stored in. */
  dtype: keyof typeof LIMITS
  prompt: number[]
  /** What mlx-lm generates in f32. */
  greedy: number[]
  result: GenerationResult
  /** How far the likeliest log-probabilities are from mlx-lm's in f32, up to the first token that is another. */
  apart: number
}

/** Generates greedily with a fixture's prompt. */
export async function generateAsGolden(name: string, device: 'cpu' | 'gpu'): Promise<Compared> {
  const folder = makeModel({ from: fixture(name), files: { 'tokenizer.json': letters() } })
  const golden = parseSafetensors(readFileSync(join(folder, 'golden.safetensors')))
  const prompt = integers(golden, 'short.prompt')
  const greedy = integers(golden, 'short.tokens')
  const [, vocab = 0] = golden.get('short.steps')?.shape ?? []
  // The prompt's last position is the first that counts.
  const logits = [
    ...numbers(golden, 'short.prefill').slice(-vocab),
    ...numbers(golden, 'short.steps'),
  ]

  // One fixture's own context is shorter than its golden.
  await using model = await loadModel(folder, { device, contextLength: CONTEXT })
  const options = { temperature: 0, ignoreEos: true, logprobs: TOP, maxTokens: greedy.length + 1 }
  const result = await model.generate(prompt, options)

  const other = greedy.findIndex((token, index) => token !== result.tokens[index])
  const compared = result.logprobs?.slice(0, other === -1 ? undefined : other + 1)
  const differences = compared?.flatMap(({ top }, index) => {
    const row = logits.slice(index * vocab, (index + 1) * vocab)
    const sum = Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0))
    return top.map(({ id, logprob }) => Math.abs(logprob - ((row[id] ?? NaN) - sum)))
  })
  return {
    dtype: dtypeOf(folder),
    prompt,
    greedy,
    result,
    apart: Math.max(...(differences ?? [NaN])),
  }
}

/** What a model's weights are stored in. */
export function dtypeOf(folder: string): keyof typeof LIMITS {
  const { torch_dtype: dtype } = readJson(join(folder, 'config.json')) as {
    torch_dtype: keyof typeof LIMITS
  }
  return dtype
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}
