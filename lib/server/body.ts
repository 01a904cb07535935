// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors'
import { orAborted } from '../signals'
import { RequestError } from './errors'

const MAX_DEPTH = 64

/** Reads a body of JSON, of at most `limit` bytes, without strings that hold a NUL and without deep nesting. */
export async function readJson(
  request: Request,
  limit: number,
  signal: AbortSignal,
): Promise<unknown> {
  // A page of another origin cannot send this type without asking first, which is never allowed.
  if (!/^application\/json(?:;|$)/iu.test(request.headers.get('content-type') ?? ''))
    throw new RequestError(415, 'unsupported_media_type', 'expected content-type: application/json')
  const text = await readText(request, limit, signal)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw invalidArgument('body', `is not valid JSON: ${(error as Error).message}`)
  }
  check(body)
  return body
}

async function readText(request: Request, limit: number, signal: AbortSignal): Promise<string> {
  const tooLarge = (): RequestError =>
    new RequestError(413, 'body_too_large', `body: larger than ${limit} bytes`, 'body')
  if (Number(request.headers.get('content-length')) > limit) throw tooLarge()
  const reader = request.body?.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let size = 0
  try {
    while (reader !== undefined) {
      const { value, done } = await orAborted(reader.read(), signal)
      if (done) break
      size += value.byteLength
      if (size > limit) throw tooLarge()
      text += decode(decoder, value)
    }
    return text + decode(decoder)
  } catch (error) {
    reader?.cancel().catch(() => {})
    if (signal.aborted) throw new RequestError(408, 'timeout', 'body: took too long', 'body')
    throw error
  }
}

function decode(decoder: InstanceType<typeof TextDecoder>, bytes?: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: bytes !== undefined })
  } catch {
    throw invalidArgument('body', 'is not valid UTF-8')
  }
}

/** `path`: the keys and indexes that lead to the value. */
function check(value: unknown, path: (string | number)[] = []): void {
  if (typeof value === 'string' && value.includes('\0'))
    throw invalidArgument(toName(path), 'holds a NUL character')
  if (typeof value !== 'object' || value === null) return
  if (path.length > MAX_DEPTH)
    throw invalidArgument(toName(path.slice(0, 1)), `nested more than ${MAX_DEPTH} levels deep`)
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
  for (const key of keys) {
    if (typeof key === 'string' && key.includes('\0'))
      throw invalidArgument(toName(path), 'has a key with a NUL character')
    path.push(key)
    check((value as Record<string | number, unknown>)[key], path)
    path.pop()
  }
}

function toName(path: readonly (string | number)[]): string {
  const name = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')
  return name.replace(/^\./u, '') || 'body'
}
