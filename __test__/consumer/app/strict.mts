// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { strict as assert } from 'node:assert'
import { loadModel, NodeMlxError, type GenerationResult, type Message } from 'node-mlx'
import { createMlx, type MlxProvider } from 'node-mlx/ai-sdk'
import { preload, startHost } from 'node-mlx/electron'
import { createHandler, type Handler } from 'node-mlx/server'

const { MODEL = '' } = process.env
const model = await loadModel(MODEL, { device: 'auto' })
const messages: Message[] = [{ role: 'user', content: 'What is the capital of France?' }]
const generation = model.generate(messages, { signal: new AbortController().signal })
let text = ''
for await (const chunk of generation) text += chunk.text
const result: GenerationResult = await generation
assert.equal(result.text, text)
assert.match(text, /Paris/u)
console.log(text)
await model[Symbol.asyncDispose]()

const error: unknown = await model.generate('again').catch((reason: unknown) => reason)
assert.ok(error instanceof NodeMlxError && error.code === 'ERR_MODEL_DISPOSED')

assert.match(preload, /preload\.js$/u)
const outside: unknown = await startHost().catch((reason: unknown) => reason)
assert.ok(outside instanceof NodeMlxError && outside.code === 'ERR_INVALID_STATE')

const handler: Handler = createHandler({ models: { demo: MODEL } })
const listed: Response = await handler(new Request('http://localhost/v1/models'))
assert.deepEqual([listed.status, /"demo"/u.test(await listed.text())], [200, true])
const provider: MlxProvider = createMlx({ load: { device: 'auto' } })
assert.equal(provider(MODEL).modelId, MODEL)
