// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// OpenAI's client with a local model: `node examples/openai.mts [model folder]`.

import { serve } from 'node-mlx/server'
import OpenAI from 'openai'

const server = await serve({ models: { local: process.argv[2] ?? 'models/demo' }, port: 0 })
const client = new OpenAI({ baseURL: server.url, apiKey: 'none' })
const stream = await client.chat.completions.create({
  model: 'local',
  messages: [{ role: 'user', content: 'Tell me a joke.' }],
  stream: true,
})
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
await server.close()
