// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Models that are loaded once, by the first call, and unloaded when idle: `node examples/two-models.mts [model folder ...]`.

import { generateText } from 'ai'
import { createMlx } from 'node-mlx/ai-sdk'

const mlx = createMlx({ idleTimeout: 60_000 })
const [first = 'models/demo', second = first] = process.argv.slice(2)
for (const id of [first, second, first]) {
  const { text } = await generateText({ model: mlx(id), prompt: 'Tell me a joke.' })
  console.log(text)
}
await mlx.dispose()
