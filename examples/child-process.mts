// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A model in a process of its own, whose errors arrive whole: `node examples/child-process.mts [model folder]`.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { loadModel, NodeMlxError } from 'node-mlx'

if (process.send) {
  const model = await loadModel(process.argv[2] ?? 'models/demo')
  try {
    for await (const text of model.generate('Tell me a joke.').textStream) process.send({ text })
    await model.generate('Hello!', { signal: AbortSignal.abort() })
  } catch (error) {
    process.send({ error })
  }
  await model.dispose()
  process.disconnect()
} else {
  const child = fork(import.meta.filename, process.argv.slice(2))
  child.on('message', ({ text, error }: { text?: string; error?: unknown }) => {
    if (error) console.log(`\n${NodeMlxError.from(error)?.code}`)
    else process.stdout.write(text ?? '')
  })
  await once(child, 'exit')
}
