// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm start`: a chat with the demo model; `npm start -- "question"`: one answer.

import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { root, script } from './shared.mjs'

await script(async () => {
  prepare()
  const { main } = await import('../dist/cli/main.js')
  await main(process.argv.slice(2), {
    model: join(root, 'models/demo'),
    question: 'Hello!',
  })
})
