// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a device must compute. A check returns what it measured, and throws what is wrong.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel, memoryUsage } from '../index'
import { loadNative } from '../load'
import { readTexts } from '../reading'
import type { LoadOptions } from '../types'
import { FORMATS, writeProductModel, writeSmallModel, type Format } from './synthetic'

export type Device = 'gpu' | 'cpu'

/** What a check has measured, in words and as numbers. */
export interface Outcome {
  detail: string
  values: Record<string, number>
}

type Runs = [name: string, run: () => Promise<Outcome>][]

/** The package's tiny models. */
const MODELS = join(__dirname, 'models')
/** How far products may be from the exact ones, as a part of the largest: bf16 keeps eight bits. */
const PRODUCT_LIMITS: Record<Format, number> = { f32: 1e-6, bf16: 2 ** -8, '4 bits': 2 ** -8 }
const TOP = 20
const SMALL_RUN = { prompt: 512, answer: 64 }
/** What may stay of a model after `dispose`, as a part of its weights. */
const REST = 0.01

/** What scripts/doctor-models.mjs has written. */
interface Expected {
  prompt: number[]
  tokens: number[]
  logits: number[][]
  /** How far log-probabilities may be apart, each, and on average. */
  limit: number
  meanLimit: number
  /** In half precision, tokens may be equally likely. */
  mayTie: boolean
}

/** The checks of a device, in a folder for temporary files. */
export function checksOf(device: Device, folder: string): Runs {
  const options = { device }
  return [
    ...FORMATS.map((format): Runs[number] => {
      return [`product, ${format}`, () => checkProduct(join(folder, format), format, options)]
    }),
    ...readdirSync(MODELS).map((name): Runs[number] => {
      return [`model ${name}`, () => checkModel(join(MODELS, name), options)]
    }),
    ['demo-sized model', () => checkSpeed(join(folder, 'small'), options)],
  ]
}

/** Multiplies integers. */
async function checkProduct(
  folder: string,
  format: Format,
  options: LoadOptions,
): Promise<Outcome> {
  const { tokens, logits } = writeProductModel(folder, format)
  const model = await loadNative(folder, options)
  try {
    const all = Array.from(logits[0] ?? [], (_, id) => id)
    const texts = tokens.map((token) => Uint32Array.of(token))
    const rows = await readTexts(model, texts, { type: 'logits', tokens: all }, options.signal)
    const expected = logits.flat()
    const computed = rows.flatMap((row) => Array.from(row))
    const largest = Math.max(...expected.map(Math.abs))
    const error = Math.max(
      ...expected.map((right, index) => Math.abs(right - (computed[index] ?? NaN))),
    )
    return within(error / largest, PRODUCT_LIMITS[format], 'relative error')
  } finally {
    await model.dispose()
  }
}

/** Generates with one of the package's models, and compares with what mlx-lm has computed. */
async function checkModel(folder: string, options: LoadOptions): Promise<Outcome> {
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
  const { prompt, tokens, logits, limit, meanLimit, mayTie } = expected
  const model = await loadModel(folder, options)
  try {
    const result = await model.generate(prompt, {
      temperature: 0,
      ignoreEos: true,
      logprobs: TOP,
      maxTokens: logits.length,
      cache: 'none',
    })
    const other = tokens.findIndex((token, index) => token !== result.tokens[index])
    // Behind another token, other numbers follow.
    const compared = (result.logprobs ?? []).slice(0, other === -1 ? undefined : other + 1)
    const differences = compared.flatMap(({ top }, index) => {
      const row = logits[index] ?? []
      const sum = Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0))
      return top.map(({ id, logprob }) => Math.abs(logprob - ((row[id] ?? NaN) - sum)))
    })
    const total = differences.reduce((sum, difference) => sum + difference, 0)
    const mean = within(total / differences.length, meanLimit, 'mean error')
    const { detail, values } = within(Math.max(...differences), limit, 'error')
    const same = other === -1 ? tokens.length : other
    const text = `${detail}, ${mean.detail}, ${same} of ${tokens.length} tokens`
    if (other !== -1 && !mayTie) throw new Error(`wrong tokens: ${text}`)
    const counts = {
      meanError: mean.values['error'] ?? NaN,
      sameTokens: same,
      tokens: tokens.length,
    }
    return { detail: text, values: { ...values, ...counts } }
  } finally {
    await model.dispose()
  }
}

/** Loads a model of some size, generates twice, and frees it. */
async function checkSpeed(folder: string, options: LoadOptions): Promise<Outcome> {
  writeSmallModel(folder)
  const before = await memoryUsage()
  const start = performance.now()
  const model = await loadModel(folder, options)
  const seconds = (performance.now() - start) / 1000
  const weights = model.memoryUsage
  const prompt = Array.from({ length: SMALL_RUN.prompt }, (_, index) => 5 * index + 3)
  const run = async () => {
    return model.generate(prompt, {
      temperature: 0,
      ignoreEos: true,
      maxTokens: SMALL_RUN.answer,
      cache: 'none',
    })
  }
  const first = await run()
  const { tokens, timings } = await run()
  const during = await memoryUsage()
  await model.dispose()
  const after = await memoryUsage()
  if (String(tokens) !== String(first.tokens))
    throw new Error(`two runs gave other tokens: ${String(first.tokens)} and ${String(tokens)}`)
  const values = {
    loadSeconds: seconds,
    promptTokensPerSecond: timings.promptTokensPerSecond,
    generationTokensPerSecond: timings.generationTokensPerSecond,
    memoryBefore: before.active,
    memoryWithModel: during.active,
    memoryAfter: after.active,
    memoryPeak: after.peak,
    processMemory: process.memoryUsage.rss(),
  }
  const memory =
    `memory ${megabytes(before.active)} MB before, ${megabytes(during.active)} with it, ` +
    `${megabytes(after.active)} after, peak ${megabytes(after.peak)}`
  if (after.active - before.active > weights * REST)
    throw new Error(`its memory was not freed: ${memory}`)
  const detail = [
    `loaded in ${seconds.toFixed(2)} s`,
    `prompt ${timings.promptTokensPerSecond.toFixed(0)} tokens/s`,
    `answer ${timings.generationTokensPerSecond.toFixed(0)} tokens/s`,
    memory,
  ].join(', ')
  return { detail, values }
}

function within(error: number, limit: number, what: string): Outcome {
  const detail = `${what} ${error.toPrecision(2)} (at most ${limit.toPrecision(2)})`
  if (error <= limit) return { detail, values: { error, limit } }
  throw new Error(`wrong numbers: ${detail}`)
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
