// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Requests that end: with time limits, with an abort that always works, and without redirects that are not safe.

import type { NodeMlxError } from '../errors'
import { onAbort, orAborted } from '../signals'

const MAX_REDIRECTS = 8
/** Enough for a list of ten thousand files. A parsed list may take forty times as much memory. */
const MAX_TEXT_BYTES = 4 * 2 ** 20
/** A text must arrive within this number of idle timeouts: a slow Hub would delay even a cached model. */
const TEXT_PAUSES = 6

/** The start of a response. */
export interface Answer {
  url: URL
  status: number
  headers: Headers
  /** Reads the body. */
  chunks(): AsyncGenerator<Uint8Array, void>
  /** Closes the connection, even in the middle of the body. */
  close(reason?: Error): void
}

/** The end of a file, from byte `start` on. */
export interface Part {
  start: number
  chunks: AsyncIterable<Uint8Array>
}

/** How to deal with a kind of server: what it is sent, how long it may take, and what its errors are. */
export interface Server {
  signal?: AbortSignal
  /** Time limit for the start of a response. */
  answerTimeoutMs: number
  /** Time limit between two chunks of a response. */
  idleTimeoutMs: number
  /** The number of retries of a request. */
  retries: number
  /** Returns the headers for a URL, so that secrets go to the right host only. */
  headers: (url: URL) => Record<string, string>
  /** Whether a retry may succeed after this error. */
  isTransient: (error: NodeMlxError) => boolean
  /** Makes the error for a connection that fails, breaks or stalls. */
  unreachable: (url: URL, problem: string, cause: unknown) => NodeMlxError
  /** Makes the error for an answer other than success. */
  refused: (answer: Answer) => NodeMlxError
  /** Makes the error for a redirect that is not followed. */
  misdirected: (answer: Answer, problem: string) => NodeMlxError
}

interface RequestOptions {
  method?: 'GET' | 'HEAD'
  headers?: Record<string, string>
  /** Returns whether to follow a redirect; otherwise it is the answer. */
  follow?: (from: URL, to: URL) => boolean
  timeoutMs?: number
}

/** Sends a request, and again where it is redirected to. */
export async function request(
  first: URL,
  server: Server,
  {
    method = 'GET',
    headers = {},
    follow = () => true,
    timeoutMs = server.answerTimeoutMs,
  }: RequestOptions = {},
): Promise<Answer> {
  let url = first
  for (let redirects = 0; ; redirects += 1) {
    const answer = await send(url, server, method, headers, timeoutMs)
    const { status } = answer
    const location = answer.headers.get('location')
    if (status >= 200 && status < 300) return answer
    answer.close()
    if (status < 300 || status >= 400 || location === null) throw server.refused(answer)
    const next = redirected(answer, location, redirects, server)
    if (!follow(url, next)) return answer
    url = next
  }
}

/**
 * Requests a file of `size` bytes from byte `offset`. A server that does not know ranges sends all of it. `corrupt` makes
 * the error for another range.
 */
export async function requestPart(
  url: URL,
  server: Server,
  offset: number,
  size: number,
  corrupt: (problem: string) => NodeMlxError,
): Promise<Part> {
  const answer = await request(url, server, {
    headers: offset > 0 ? { Range: `bytes=${offset}-` } : {},
    timeoutMs: Math.max(server.answerTimeoutMs, server.idleTimeoutMs),
  })
  if (answer.status !== 206) return { start: 0, chunks: answer.chunks() }
  if (answer.headers.get('content-range') === `bytes ${offset}-${size - 1}/${size}`)
    return { start: offset, chunks: answer.chunks() }
  answer.close()
  throw corrupt(`requested it from byte ${offset}, but received a different range`)
}

/** Reads a body that is neither large nor slow; `what` is its name in errors. */
export async function readText(answer: Answer, what: string, server: Server): Promise<string> {
  const limit = TEXT_PAUSES * server.idleTimeoutMs
  const tooLate = new Error(`${what} did not arrive within ${limit / 1000} s`)
  const timer = setTimeout(() => answer.close(tooLate), limit)
  const parts: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of answer.chunks()) {
      parts.push(chunk)
      size += chunk.length
      if (size > MAX_TEXT_BYTES) answer.close(new Error(`${what} is larger than 4 MiB`))
    }
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(parts).toString()
}

function redirected(answer: Answer, location: string, redirects: number, server: Server): URL {
  const from = answer.url
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined
  const isSafe =
    to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:')
  const hasNoUser = to?.username === '' && to.password === ''
  if (to !== undefined && isSafe && hasNoUser && redirects < MAX_REDIRECTS) return to
  const target = to === undefined ? 'an invalid URL' : `${to.protocol}//${to.host}`
  throw server.misdirected(
    answer,
    `${from.host} redirects to ${target}, ` +
      (redirects < MAX_REDIRECTS ? 'which is not safe to follow' : 'after too many redirects'),
  )
}

async function send(
  url: URL,
  server: Server,
  method: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<Answer> {
  const { signal, idleTimeoutMs } = server
  signal?.throwIfAborted()
  const controller = new AbortController()
  const forgetSignal = onAbort(signal, () => controller.abort(signal?.reason))
  const close = (reason?: Error): void => {
    forgetSignal()
    controller.abort(reason)
  }
  const failure = (cause: unknown): unknown =>
    signal?.aborted ? signal.reason : server.unreachable(url, explain(url, cause), cause)
  const timeLimit = (ms: number): NodeJS.Timeout =>
    setTimeout(() => controller.abort(new Error(`no response for ${ms / 1000} s`)), ms)

  const timer = timeLimit(timeoutMs)
  try {
    const {
      status,
      headers: answered,
      body,
    } = await fetch(url, {
      method,
      headers: {
        'Accept-Encoding': 'identity',
        'User-Agent': 'node-mlx',
        ...headers,
        ...server.headers(url),
      },
      redirect: 'manual',
      signal: controller.signal,
    })
    const chunks = async function* (): AsyncGenerator<Uint8Array, void> {
      const reader = body?.getReader()
      if (reader === undefined) return close()
      try {
        for (;;) {
          const idle = timeLimit(idleTimeoutMs)
          // On its own, a read may wait forever if the connection is aborted at the wrong moment.
          const next = await orAborted(reader.read(), controller.signal).finally(() =>
            clearTimeout(idle),
          )
          if (next.done) return
          yield next.value as Uint8Array
        }
      } catch (error) {
        throw failure(error)
      } finally {
        close()
      }
    }
    return { url, status, headers: answered, chunks, close }
  } catch (error) {
    close()
    throw failure(error)
  } finally {
    clearTimeout(timer)
  }
}

function explain(url: URL, cause: unknown): string {
  const inner = (cause as Error).cause as NodeJS.ErrnoException | undefined
  return (inner?.code ?? inner?.message ?? (cause as Error).message) + proxyHint(url)
}

/** A hint for users of a proxy: unlike Python, Node does not use the proxies of the environment by default. */
function proxyHint({ protocol }: URL): string {
  const name = protocol.replace(':', '_proxy')
  const variable = [name, name.toUpperCase()].find((candidate) => process.env[candidate])
  if (variable === undefined || process.env['NODE_USE_ENV_PROXY'] === '1') return ''
  return ` (Node.js uses the proxy in ${variable} only with NODE_USE_ENV_PROXY=1, since Node.js 22.21)`
}
