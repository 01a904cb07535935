// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Streams answers over HTTP, and stops when a client leaves: `node examples/http.mts [model folder]`.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const server = createServer(async (request, response) => {
  const generation = model.generate(await text(request), { maxTokens: 200 })
  await pipeline(generation.textStream, response).catch(() => response.destroy())
})
await once(server.listen(0), 'listening')

const { port } = server.address() as AddressInfo
const url = `http://127.0.0.1:${port}`
const { body } = await fetch(url, { method: 'POST', body: 'Tell me a story.' })
for await (const part of body ?? []) process.stdout.write(part)
server.close()
await model.dispose()
