// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Streams answers over HTTP, and stops when a client leaves: `node examples/express.mts [model folder]`.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import express from 'express'
import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const app = express().use(express.text())
app.post('/', (request, response) =>
  pipeline(model.generate(request.body).textStream, response.type('text/plain')),
)
const server = app.listen(0)
await once(server, 'listening')

// What a client does:
const { port } = server.address() as AddressInfo
const headers = { 'content-type': 'text/plain' }
const body = 'Tell me a joke.'
const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })
for await (const part of answer.body ?? []) process.stdout.write(part)
server.close()
await model.dispose()
