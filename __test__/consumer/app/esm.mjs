// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { strict as assert } from 'node:assert'
import { loadModel } from 'node-mlx'

const model = await loadModel(process.env.MODEL)
let text = ''
for await (const chunk of model.generate('What is the capital of France?')) text += chunk.text
assert.match(text, /Paris/u)
await model.dispose()
