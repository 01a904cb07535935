// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, onTestFinished, test } from 'vitest'
import { memoryUsage, setMemoryLimit } from '../lib'
import { ModelPool } from '../lib/pool'
import { demoModel, llama } from './helpers/models'

test('a model that waits to be loaded, with nobody who wants it any more, is not in the way', async () => {
  const pool = new ModelPool()
  const limit = await setMemoryLimit((await memoryUsage()).active)
  onTestFinished(async () => void (await setMemoryLimit(limit)))
  const client = new AbortController()
  const loading = pool.run(demoModel, (model) => model.generate('Hi'))
  const waiting = pool.run(llama, (model) => model.generate('Hi'), client.signal)
  client.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'ABORT_ERR' })
  await expect(loading).rejects.toMatchObject({ code: 'ERR_INSUFFICIENT_MEMORY' })
  await pool.dispose()
})
