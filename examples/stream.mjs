// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Streams an answer: `node examples/stream.mjs [model folder]`.

import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const generation = model.generate('Tell me a story.', { maxTokens: 200, temperature: 0.7 })
for await (const chunk of generation) process.stdout.write(chunk.text)

const { usage, timings } = await generation
const speed = timings.generationTokensPerSecond.toFixed(1)
console.log(`\n(${usage.completionTokens} tokens, ${speed} tokens/s)`)
await model.dispose()
