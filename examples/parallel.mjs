// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Several answers at once from one model: `node examples/parallel.mjs [model folder]`.

import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const questions = ['France', 'Italy', 'Japan'].map((name) => `What is the capital of ${name}?`)
const answers = await Promise.all(questions.map((question) => model.generate(question)))
for (const { text, timings } of answers)
  console.log(text, `(after ${timings.queueMs.toFixed(0)} ms)`)
await model.dispose()
