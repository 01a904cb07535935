// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Requests to the Hub: redirects, timeouts, retries, and errors with advice.

import { setTimeout as sleep } from 'node:timers/promises'
import { NodeMlxError, type ErrorCode } from '../errors'
import { onAbort, orAborted } from '../signals'
import { checkHash, normalizeEtag } from './files'
import type { Settings } from './settings'

const MAX_REDIRECTS = 8
/** Enough for a list of ten thousand files. The parsed list may take forty times as much memory. */
const MAX_JSON_BYTES = 4 * 2 ** 20
/** The file list must arrive within this number of idle timeouts: a slow Hub would delay even a cached model. */
const LISTING_PAUSES = 6
const FIRST_PAUSE_MS = 300
const LONGEST_PAUSE_MS = 8000
/** No retry if the Hub asks for a longer wait. The Hugging Face Hub counts requests over this period. */
const LONGEST_RETRY_AFTER_S = 300

/** Number of retries of a request. */
export const RETRIES = 5

interface Answer {
  url: URL
  status: number
  headers: Headers
  /** Reads the body. */
  chunks(): AsyncGenerator<Uint8Array, void>
  /** Closes the connection, even in the middle of the body. */
  close(reason?: Error): void
}

/** A client for one repository of the Hub. */
export class HubClient {
  readonly #settings: Settings
  readonly #id: string
  readonly #signal: AbortSignal

  constructor(settings: Settings, id: string, signal: AbortSignal) {
    this.#settings = settings
    this.#id = id
    this.#signal = signal
  }

  /** Fetches the Hub's description of a revision: its commit, and its files with sizes and hashes. */
  async revision(revision: string, retries: number): Promise<unknown> {
    const path = `/api/models/${this.#id}/revision/${encodeURIComponent(revision)}?blobs=true`
    return this.#retrying(retries, async () => {
      const list = await this.#readWhole(await this.#get(path))
      try {
        return JSON.parse(list) as unknown
      } catch (cause) {
        throw this.#unavailable('the response is not JSON', cause)
      }
    })
  }

  async #readWhole(answer: Answer): Promise<string> {
    const limit = LISTING_PAUSES * this.#settings.idleTimeoutMs
    const tooLate = new Error(`the file list did not arrive within ${limit / 1000} s`)
    const timer = setTimeout(() => answer.close(tooLate), limit)
    const parts: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of answer.chunks()) {
        parts.push(chunk)
        size += chunk.length
        if (size > MAX_JSON_BYTES) throw this.#unavailable('its file list is larger than 4 MiB')
      }
    } finally {
      clearTimeout(timer)
    }
    return Buffer.concat(parts).toString()
  }

  /** Fetches a file's hash and size, from the headers of the Hub or of the first host that sends them. */
  async describe(commit: string, name: string): Promise<{ hash: string; size: number }> {
    return this.#retrying(RETRIES, async () => {
      const answer = await this.#get(this.#filePath(commit, name), {
        method: 'HEAD',
        follow: (from, to) => from.origin === to.origin,
      })
      answer.close()
      const { headers } = answer
      const etag = headers.get('x-linked-etag') ?? headers.get('etag')
      const size = headers.get('x-linked-size') ?? headers.get('content-length')
      if (size === null || !/^\d{1,15}$/u.test(size)) {
        throw this.#unavailable(`the response lacks the size of ${name}`)
      }
      return { hash: checkHash(normalizeEtag(etag), name), size: Number(size) }
    })
  }

  /** Reads a file of `size` bytes from byte `offset`, without retries. */
  async *read(
    commit: string,
    name: string,
    offset: number,
    size: number,
  ): AsyncGenerator<Uint8Array, void> {
    const { answerTimeoutMs, idleTimeoutMs } = this.#settings
    const answer = await this.#get(this.#filePath(commit, name), {
      headers: offset > 0 ? { Range: `bytes=${offset}-` } : {},
      timeoutMs: Math.max(answerTimeoutMs, idleTimeoutMs),
    })
    const range = answer.headers.get('content-range')
    const isRight =
      answer.status === 206 ? range === `bytes ${offset}-${size - 1}/${size}` : offset === 0
    if (!isRight) {
      answer.close()
      throw new NodeMlxError(
        'ERR_DOWNLOAD_CORRUPT',
        `${this.#id}: requested ${name} from byte ${offset}, but received ` +
          (answer.status === 206 ? 'a different range' : 'the whole file'),
        { details: { id: this.#id, file: name } },
      )
    }
    yield* answer.chunks()
  }

  /** Reads the start of a file of `size` bytes. `wanted` returns its length, given the bytes read so far. */
  async readStart(
    commit: string,
    name: string,
    size: number,
    wanted: (start: Buffer) => number,
  ): Promise<Buffer> {
    const nothing = Buffer.alloc(0)
    const first = wanted(nothing)
    if (first === 0) return nothing
    return this.#retrying(RETRIES, async () => {
      let parts: Uint8Array[] = []
      let length = 0
      let end = first
      for await (const chunk of this.read(commit, name, 0, size)) {
        parts.push(chunk)
        length += chunk.length
        if (length < end) continue
        const start = Buffer.concat(parts)
        end = wanted(start)
        if (length >= end) return start.subarray(0, end)
        parts = [start]
      }
      throw this.#unavailable(`${name} ends early`)
    })
  }

  /** Waits before the next attempt: longer each time, or as long as the Hub requested. */
  async pause(failures: number, error: NodeMlxError): Promise<void> {
    const asked = error.details?.['retryAfter'] as number | undefined
    const growing = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS)
    const ms = asked === undefined ? growing * (0.75 + Math.random() / 2) : asked * 1000
    await sleep(ms, undefined, { signal: this.#signal })
  }

  async #retrying<T>(retries: number, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 0; ; failures += 1) {
      try {
        return await attempt()
      } catch (error) {
        if (failures >= retries || !isTransient(error)) throw error
        await this.pause(failures, error)
      }
    }
  }

  #filePath(commit: string, name: string): string {
    const path = name.split('/').map(encodeURIComponent).join('/')
    return `/${this.#id}/resolve/${commit}/${path}`
  }

  async #get(
    path: string,
    {
      method = 'GET',
      headers = {},
      follow = () => true,
      timeoutMs = this.#settings.answerTimeoutMs,
    }: {
      method?: 'GET' | 'HEAD'
      headers?: Record<string, string>
      follow?: (from: URL, to: URL) => boolean
      timeoutMs?: number
    } = {},
  ): Promise<Answer> {
    let url = new URL(this.#settings.endpoint + path)
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#fetch(url, method, headers, timeoutMs)
      const { status } = answer
      const location = answer.headers.get('location')
      if (status >= 200 && status < 300) return answer
      answer.close()
      if (status < 300 || status >= 400 || location === null) throw this.#refused(answer)
      const next = this.#redirected(url, location, redirects)
      if (!follow(url, next)) return answer
      url = next
    }
  }

  #redirected(from: URL, location: string, redirects: number): URL {
    const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined
    const isSafe =
      to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:')
    const hasNoUser = to?.username === '' && to.password === ''
    if (to !== undefined && isSafe && hasNoUser && redirects < MAX_REDIRECTS) return to
    const target = to === undefined ? 'an invalid URL' : `${to.protocol}//${to.host}`
    throw new NodeMlxError(
      'ERR_DOWNLOAD_FAILED',
      `${this.#id}: ${from.host} redirects to ${target}, ` +
        (redirects < MAX_REDIRECTS ? 'which is not safe to follow' : 'after too many redirects'),
      { details: { id: this.#id, host: from.host } },
    )
  }

  async #fetch(
    url: URL,
    method: string,
    headers: Record<string, string>,
    timeoutMs: number,
  ): Promise<Answer> {
    const { idleTimeoutMs, token } = this.#settings
    const isHub = this.#isHub(url)
    this.#signal.throwIfAborted()
    const controller = new AbortController()
    const forgetSignal = onAbort(this.#signal, () => controller.abort(this.#signal.reason))
    const close = (reason?: Error): void => {
      forgetSignal()
      controller.abort(reason)
    }
    const unavailable = (cause: unknown): unknown =>
      this.#signal.aborted ? this.#signal.reason : this.#unreachable(url, cause)
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
          ...(isHub && token !== undefined && { Authorization: `Bearer ${token}` }),
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
          throw unavailable(error)
        } finally {
          close()
        }
      }
      return { url, status, headers: answered, chunks, close }
    } catch (error) {
      close()
      throw unavailable(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #isHub(url: URL): boolean {
    return url.origin === new URL(this.#settings.endpoint).origin
  }

  #refused({ url, status, headers }: Answer): NodeMlxError {
    const reason = headers.get('x-error-code') ?? ''
    // The endpoint may redirect to another Hub, which is recognised by its error codes.
    const [code, problem] =
      this.#isHub(url) || HUB_REASONS.has(reason)
        ? explain(status, reason, this.#settings.token !== undefined)
        : explainStorage(status)
    // The Hub sends its rate limits with every response.
    const limit = status === 429 ? headers.get('ratelimit') : null
    const retryAfter = parseRetryAfter(headers.get('retry-after')) ?? parseRateLimit(limit)
    const details = {
      id: this.#id,
      host: url.host,
      status,
      // A server may echo the token.
      ...(/^\w{1,40}$/u.test(reason) && reason !== this.#settings.token && { reason }),
      ...(retryAfter !== undefined && { retryAfter }),
    }
    return new NodeMlxError(code, `${this.#id}: ${url.host} answered ${status}: ${problem}`, {
      details,
    })
  }

  #unreachable(url: URL, cause: unknown): NodeMlxError {
    const inner = (cause as Error).cause as NodeJS.ErrnoException | undefined
    const problem = inner?.code ?? inner?.message ?? (cause as Error).message
    return new NodeMlxError(
      'ERR_HUB_UNAVAILABLE',
      `${this.#id}: the connection to ${url.host} failed: ${problem}${proxyHint(url)}`,
      { cause, details: { id: this.#id, host: url.host } },
    )
  }

  #unavailable(problem: string, cause?: unknown): NodeMlxError {
    return new NodeMlxError(
      'ERR_HUB_UNAVAILABLE',
      `${this.#id}: unexpected response from ${this.#settings.endpoint}: ${problem}`,
      { cause, details: { id: this.#id } },
    )
  }
}

/** A hint for users of a proxy: unlike Python, Node does not use the proxies of the environment by default. */
function proxyHint({ protocol }: URL): string {
  const name = protocol.replace(':', '_proxy')
  const variable = [name, name.toUpperCase()].find((candidate) => process.env[candidate])
  if (variable === undefined || process.env['NODE_USE_ENV_PROXY'] === '1') return ''
  return ` (Node.js uses the proxy in ${variable} only with NODE_USE_ENV_PROXY=1, since Node.js 22.21)`
}

/** Whether a retry may succeed soon. */
export function isTransient(error: unknown): error is NodeMlxError {
  if (!(error instanceof NodeMlxError)) return false
  const retryAfter = (error.details?.['retryAfter'] as number | undefined) ?? 0
  return (
    (error.code === 'ERR_HUB_UNAVAILABLE' || error.code === 'ERR_HUB_RATE_LIMITED') &&
    retryAfter <= LONGEST_RETRY_AFTER_S
  )
}

function explain(status: number, reason: string, hasToken: boolean): [ErrorCode, string] {
  if (status === 429) return ['ERR_HUB_RATE_LIMITED', 'too many requests; try again later']
  if (status >= 500 || status === 408) return ['ERR_HUB_UNAVAILABLE', 'try again later']
  if (status === 416) return ['ERR_DOWNLOAD_CORRUPT', 'the file is shorter than it should be']
  if (reason === GATED || status === 403) {
    return [
      'ERR_HUB_GATED',
      'the repository is gated: request access on its page, then pass a token of an account that has it',
    ]
  }
  if (status === 401) {
    return [
      'ERR_HUB_UNAUTHORIZED',
      hasToken
        ? 'there is no such model, or the token is invalid or does not grant access to it'
        : 'there is no such model, or it is private and needs a token (option token, or HF_TOKEN)',
    ]
  }
  if (status === 404) {
    return [
      'ERR_HUB_NOT_FOUND',
      `there is no such ${NOT_FOUND[reason] ?? 'model, revision or file'}`,
    ]
  }
  return ['ERR_DOWNLOAD_FAILED', 'the request was rejected']
}

const GATED = 'GatedRepo'
const NOT_FOUND: Readonly<Record<string, string>> = {
  RepoNotFound: 'model',
  RevisionNotFound: 'revision',
  EntryNotFound: 'file',
}
const HUB_REASONS: ReadonlySet<string> = new Set([GATED, ...Object.keys(NOT_FOUND)])

/** Explains an error of the storage host that the Hub redirects to. Its URLs expire, so most errors need a new one. */
function explainStorage(status: number): [ErrorCode, string] {
  return status === 416 ? explain(status, '', false) : ['ERR_HUB_UNAVAILABLE', 'try again later']
}

/** Converts a `Retry-After` header, in seconds or as a date, to seconds from now. */
function parseRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/u.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}

/** Returns the seconds until requests are allowed again, from the Hub's `RateLimit: "api";r=0;t=37`. */
function parseRateLimit(text: string | null): number | undefined {
  const [, seconds] = /;\s*t=(\d{1,9})\b/u.exec(text ?? '') ?? []
  return seconds === undefined ? undefined : Number(seconds)
}
