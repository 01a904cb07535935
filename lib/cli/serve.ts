// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { downloadModel } from '../hub'
import { explainHub, findLocal } from '../paths'
import type { Arguments } from './args'
import { useProxies } from './hub'
import { progressBar } from './progress'

const KEY = 'NODE_MLX_API_KEY'

/** Serves models until it is interrupted. */
export async function serve(args: Arguments): Promise<void> {
  const { operands, model, revision, adapter, host, port, idleTimeout } = args
  const models = operands.length === 0 && model !== undefined ? [model] : operands
  if (models.length === 0)
    throw new Error('expected the name or the folder of a model, or of several')
  const { serve: listen } = await import('../server/index.js')
  useProxies()
  // Before the first request, which would have to wait.
  for (const id of models) {
    if ((await findLocal(id)) !== undefined) continue
    await explainHub(id, downloadModel(id, { revision, onProgress: progressBar() }))
  }
  const server = await listen({
    models,
    host,
    port,
    apiKey: process.env[KEY] || undefined,
    idleTimeout: idleTimeout === undefined ? undefined : idleTimeout * 1000,
    load: { revision, adapter },
  })
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  // Only now, as who reads the address may interrupt at once.
  console.log(`${models.join(', ')}: ${server.url}`)
  await interrupted
  await server.close()
}
