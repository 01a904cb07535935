// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { isMainThread, Worker } from 'node:worker_threads'

if (isMainThread) {
  const [code] = await once(new Worker(new URL(import.meta.url)), 'exit')
  assert.equal(code, 0)
} else {
  await import('./esm.mjs')
}
