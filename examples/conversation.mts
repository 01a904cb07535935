// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A conversation with a time limit, which goes on after a restart: `node examples/conversation.mts [model folder]`.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const file = join(tmpdir(), `conversation-${process.pid}.safetensors`)
const chat = model.chat()
// What is there after 30 seconds stays in the chat.
await chat.send('My name is Ada.', { signal: AbortSignal.timeout(30_000), onAbort: 'keep' })
await chat.save(file)

const restored = model.chat({ restore: file })
const { text, usage } = await restored.send('What is my name?')
console.log(`${text} (${usage.cachedTokens} of ${usage.promptTokens} tokens reused)`)
await model.dispose()
