// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Requests to the endpoint of OpenAI's API, without a client.

import type { Handler } from 'node-mlx/server'

export const JSON_TYPE = { 'content-type': 'application/json' }
export const HELLO = {
  model: 'tiny',
  messages: [{ role: 'user', content: 'Hello' }],
  max_tokens: 4,
}

export interface Answer {
  status: number
  error: { message: string; type: string; param: string | null; code: string }
}

export function toRequest(
  path: string,
  body: string | Uint8Array | ReadableStream,
  headers: Record<string, string> = {},
): Request {
  return new Request(`http://localhost/v1/${path}`, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body,
    duplex: 'half',
  })
}

export async function answer(handler: Handler, request: Request): Promise<Answer> {
  const response = await handler(request)
  return { status: response.status, ...((await response.json()) as object) } as Answer
}

/** Asks for a completion of a chat, or for what the path says. */
export async function ask(
  handler: Handler,
  fields: object,
  path = 'chat/completions',
): Promise<Answer> {
  return answer(handler, toRequest(path, JSON.stringify(fields)))
}
