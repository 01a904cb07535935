// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run bench [-- model folder]`: how long loading takes, how fast a prompt is read and an answer written.
// Medians of several runs, each in its own right: no run reuses what another one left.

import { join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { root, script } from '../../scripts/shared.mjs'

const RUNS = 5
const PROMPT_TOKENS = 512
const ANSWER_TOKENS = 128

await script(async () => {
  prepare()
  const { loadModel, mlxVersion, version } = await import('node-mlx')
  const folder = process.argv[2] ?? join(root, 'models/demo')

  const start = performance.now()
  const model = await loadModel(folder)
  const loadMs = performance.now() - start

  const length = Math.min(PROMPT_TOKENS, model.contextLength - ANSWER_TOKENS)
  const prompt = Array.from({ length }, (_, index) => (index * 31) % Math.min(model.vocabSize, 200))
  const options = { maxTokens: ANSWER_TOKENS, ignoreEos: true, temperature: 0 }
  await model.generate(prompt, options)
  const timings = []
  for (let run = 0; run < RUNS; run += 1) {
    timings.push((await model.generate(prompt, options)).timings)
  }
  const median = (key) => timings.map((timing) => timing[key]).toSorted((a, b) => a - b)[RUNS >> 1]

  console.log(`node-mlx ${version}, MLX ${mlxVersion}, ${model.device}, Node ${process.version}`)
  console.log(`${folder}: ${model.modelType}, ${model.parameterCount} parameters`)
  console.log(`load                 ${loadMs.toFixed(0)} ms`)
  console.log(
    `first token          ${median('timeToFirstTokenMs').toFixed(1)} ms (${length} tokens)`,
  )
  console.log(`prompt               ${median('promptTokensPerSecond').toFixed(0)} tokens/s`)
  console.log(`generation           ${median('generationTokensPerSecond').toFixed(0)} tokens/s`)
  await model.dispose()
})
