// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The process of row 46: generates without end, says so, and leaves the way it is told to.

import { loadModel } from 'node-mlx'

const [folder, way, delay] = process.argv.slice(2)
const model = await loadModel(folder)
let isFirst = true
for await (const _ of model.generate([1], { maxTokens: 90_000, ignoreEos: true })) {
  if (!isFirst) continue
  isFirst = false
  process.stdout.write('.')
  setTimeout(leave, Number(delay))
}

function leave() {
  if (way === 'process.exit') process.exit(7)
  if (way === 'an uncaught exception') throw new Error('nobody catches this')
}
