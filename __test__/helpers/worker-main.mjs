// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The worker of row 47: loads models, generates without end, and says when it begins with either.

// oxlint-disable unicorn/require-post-message-target-origin -- no window

import { parentPort, workerData } from 'node:worker_threads'
import { loadModel } from 'node-mlx'

parentPort.postMessage('loading')
const load = () => loadModel(workerData, { onProgress: () => {} })
const [model] = await Promise.all([load(), load(), load(), load()])
let isFirst = true
for await (const _ of model.generate([1], { maxTokens: 90_000, ignoreEos: true })) {
  if (isFirst) parentPort.postMessage('generating')
  isFirst = false
}
