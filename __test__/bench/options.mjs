// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What top-p, penalties and a schema cost: tokens per second with each, in turns in one run; medians as one line of JSON.
//
// usage: options.mjs FOLDER [PROMPT_TOKENS GENERATED_TOKENS ROUNDS]

import { loadModel } from 'node-mlx'
import { median } from './median.mjs'

const [folder, ...numbers] = process.argv.slice(2)
const [promptTokens = 32, maxTokens = 128, rounds = 9] = numbers.map(Number)

const base = { ignoreEos: true, temperature: 1, topP: 1, topK: 0, minP: 0 }
const topP = { topP: 0.9 }
const penalties = { repetitionPenalty: 1.1, presencePenalty: 0.1, frequencyPenalty: 0.1 }
// No end is possible before maxTokens.
const schema = { type: 'array', items: { type: 'string' }, minItems: 10_000 }
const kinds = {
  plain: {},
  topP,
  penalties,
  both: { ...topP, ...penalties },
  schema: { schema, ignoreEos: false },
}
const speeds = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))

const model = await loadModel(folder)
const prompt = Array.from({ length: promptTokens }, (_, index) => (7 * index + 3) % 1000)
for (let round = 0; round <= rounds; round += 1) {
  const order = Object.entries(kinds)
  // So that none is always behind the same other one.
  if (round % 2 === 1) order.reverse()
  for (const [kind, options] of order) {
    const { timings } = await model.generate(prompt, {
      ...base,
      maxTokens,
      seed: round,
      cache: 'none',
      ...options,
    })
    // The first round warms up.
    if (round > 0) speeds[kind].push(timings.generationTokensPerSecond)
  }
}
await model.dispose()
const medians = Object.entries(speeds).map(([kind, values]) => [kind, median(values)])
console.log(JSON.stringify(Object.fromEntries(medians)))
