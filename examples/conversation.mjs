// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A conversation, and a time limit: `node examples/conversation.mjs [model folder]`.

import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const chat = model.chat()
for (const question of ['My name is Ada.', 'What is my name?']) {
  const { text, usage } = await chat.send(question, { signal: AbortSignal.timeout(30_000) })
  console.log(
    `> ${question}\n${text} (${usage.cachedTokens} of ${usage.promptTokens} tokens reused)`,
  )
}
await model.dispose()
