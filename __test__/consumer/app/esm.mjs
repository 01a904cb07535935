// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { strict as assert } from 'node:assert'
import { loadModel } from 'node-mlx'

const model = await loadModel(process.env.MODEL)
const texts = []
for await (const { text } of model.generate('What is the capital of France?')) texts.push(text)
assert.ok(texts.length > 1)
console.log(texts.join(''))
await model.dispose()
