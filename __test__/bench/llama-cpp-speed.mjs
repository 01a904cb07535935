// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Speed of node-llama-cpp on the CPU: one line of JSON, as speed.mjs has it.
//
// usage: llama-cpp-speed.mjs PACKAGE_FOLDER FILE PROMPT_TOKENS GENERATED_TOKENS

import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const WARM_UP_TOKENS = 8

const [folder, modelPath, ...numbers] = process.argv.slice(2)
const [promptTokens, maxTokens] = numbers.map(Number)

const path = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp')
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(path).href)
const threads = availableParallelism()
const llama = await getLlama({
  gpu: false,
  build: 'never',
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
})
const before = performance.now()
const model = await llama.loadModel({ modelPath })
const load = (performance.now() - before) / 1000
const contextSize = Math.max(512, promptTokens + maxTokens + 1)
const context = await model.createContext({ contextSize, batchSize: 512, threads })
const sequence = context.getSequence()

async function measure(length, limit) {
  await sequence.clearHistory()
  const prompt = Array.from({ length }, (_, index) => 300 + ((7 * index + 3) % 1000))
  const start = performance.now()
  let first
  let count = 0
  for await (const _ of sequence.evaluate(prompt, { temperature: 0 })) {
    first ??= performance.now()
    count += 1
    if (count >= limit) break
  }
  const rest = (performance.now() - first) / 1000
  return { first: (first - start) / 1000, decode: (count - 1) / rest }
}

await measure(WARM_UP_TOKENS, 2)
const { first, decode } = await measure(promptTokens, maxTokens)
console.log(JSON.stringify({ load, first, prefill: promptTokens / first, decode }))
process.exit(0)
