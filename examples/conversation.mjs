// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A conversation, and a time limit: `node examples/conversation.mjs [model folder]`.

import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const messages = []
for (const content of ['My name is Ada.', 'What is my name?']) {
  messages.push({ role: 'user', content })
  const { text } = await model.generate(messages, { signal: AbortSignal.timeout(30_000) })
  messages.push({ role: 'assistant', content: text })
  console.log(`> ${content}\n${text}`)
}
await model.dispose()
