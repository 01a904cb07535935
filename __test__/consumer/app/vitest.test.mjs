// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel, NodeMlxError } from 'node-mlx'
import { expect, test } from 'vitest'

test('streams', async () => {
  const model = await loadModel(process.env.MODEL)
  let text = ''
  for await (const chunk of model.generate('What is the capital of France?')) text += chunk.text
  expect(text).toMatch(/Paris/u)
  await model.dispose()
  await expect(model.generate('again')).rejects.toThrow(NodeMlxError)
}, 120_000)
