// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a route of Next.js, Hono, Bun or Deno does: `node examples/fetch-handler.mts [model folder]`.

import { loadModel } from 'node-mlx'

const model = await loadModel(process.argv[2] ?? 'models/demo')

export async function POST(request: Request): Promise<Response> {
  const generation = model.generate(await request.text(), { signal: request.signal })
  return new Response(generation.toReadableStream())
}

const request = new Request('http://localhost/', { method: 'POST', body: 'Tell me a joke.' })
console.log(await (await POST(request)).text())
await model.dispose()
