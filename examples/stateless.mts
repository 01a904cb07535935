// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// All messages in each call, of which only the new ones are computed: `node examples/stateless.mts [model folder]`.

import { loadModel, type Message } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const messages: Message[] = []
for (const content of ['My name is Ada.', 'What is my name?', 'Tell me a joke.']) {
  messages.push({ role: 'user', content })
  const { text, usage } = await model.generate(messages)
  messages.push({ role: 'assistant', content: text })
  console.log(`${text} (${usage.cachedTokens} of ${usage.promptTokens} tokens reused)`)
}
await model.dispose()
