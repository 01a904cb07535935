// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Speed of node-mlx, through Node: one line of JSON, as speed.py has it.
//
// usage: speed.mjs FOLDER PROMPT_TOKENS GENERATED_TOKENS [RUNS]

import { loadModel } from 'node-mlx'

const [folder, ...numbers] = process.argv.slice(2)
const [promptTokens, maxTokens, runs = 1] = numbers.map(Number)

const start = performance.now()
const model = await loadModel(folder)
const load = (performance.now() - start) / 1000

async function measure(length = promptTokens, limit = maxTokens) {
  const prompt = Array.from({ length }, (_, index) => (7 * index + 3) % 1000)
  const { timings } = await model.generate(prompt, {
    maxTokens: limit,
    ignoreEos: true,
    temperature: 0,
    cache: 'none',
  })
  return { first: timings.promptMs / 1000, decode: timings.generationTokensPerSecond }
}

await (runs === 0 ? measure(4, 2) : measure())
const all = []
for (let run = 0; run < Math.max(runs, 1); run += 1) all.push(await measure())
const first = Math.min(...all.map((one) => one.first))
const decode = Math.max(...all.map((one) => one.decode))
console.log(JSON.stringify({ load, first, prefill: promptTokens / first, decode }))
await model.dispose()
