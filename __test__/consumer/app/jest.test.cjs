// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

const { loadModel, NodeMlxError } = require('node-mlx')

test('streams', async () => {
  const model = await loadModel(process.env.MODEL)
  let text = ''
  for await (const chunk of model.generate('What is the capital of France?')) text += chunk.text
  expect(text).toMatch(/Paris/u)
  const { tokenizer } = model
  expect(await tokenizer.decode(Uint32Array.from(await tokenizer.encode('Paris')))).toBe('Paris')
  await model.dispose()
  await expect(model.generate('again')).rejects.toThrow(NodeMlxError)
  await expect(loadModel('/no/such/folder')).rejects.toMatchObject({ code: 'ERR_MODEL_NOT_FOUND' })
}, 120_000)
