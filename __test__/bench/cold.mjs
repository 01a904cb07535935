// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The first words of an answer, as soon as they are there. usage: cold.mjs FOLDER QUESTION

import { loadModel } from 'node-mlx'

const [folder, question] = process.argv.slice(2)
const model = await loadModel(folder)
for await (const { text } of model.generate(question, { temperature: 0 })) {
  process.stdout.write(text)
  break
}
await model.dispose()
