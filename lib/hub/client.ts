// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Requests to the Hub: redirects, time limits, retries, and errors that say what to do.

import { setTimeout as sleep } from 'node:timers/promises'
import { NodeMlxError, type ErrorCode } from '../errors'
import { onAbort, orAborted } from '../signals'
import { checkHash, normalizeEtag } from './files'
import type { Settings } from './settings'

const MAX_REDIRECTS = 8
/** Room for the list of ten thousand files. Parsed, it may take forty times as much. */
const MAX_JSON_BYTES = 4 * 2 ** 20
/** The list of files may take as long as so many pauses: a Hub that dribbles would hold up even a cached model. */
const LISTING_PAUSES = 6
const FIRST_PAUSE_MS = 300
const LONGEST_PAUSE_MS = 8000
/** A Hub that asks for more patience than this gets none. The real one counts requests over as long. */
const LONGEST_RETRY_AFTER_S = 300

/** How often a request is made again before its error counts. */
export const RETRIES = 5

interface Answer {
  url: URL
  status: number
  headers: Headers
  /** Reads the body. */
  chunks(): AsyncGenerator<Uint8Array, void>
  /** Ends the connection, wherever the body stands. */
  close(reason?: Error): void
}

/** Asks the Hub about one repository. */
export class HubClient {
  readonly #settings: Settings
  readonly #id: string
  readonly #signal: AbortSignal

  constructor(settings: Settings, id: string, signal: AbortSignal) {
    this.#settings = settings
    this.#id = id
    this.#signal = signal
  }

  /** What the Hub tells about a revision: its commit, and its files with sizes and hashes. */
  async revision(revision: string, retries: number): Promise<unknown> {
    const path = `/api/models/${this.#id}/revision/${encodeURIComponent(revision)}?blobs=true`
    return this.#retrying(retries, async () => {
      const list = await this.#readWhole(await this.#get(path))
      try {
        return JSON.parse(list) as unknown
      } catch (cause) {
        throw this.#unavailable('its answer is not JSON', cause)
      }
    })
  }

  async #readWhole(answer: Answer): Promise<string> {
    const limit = LISTING_PAUSES * this.#settings.idleTimeoutMs
    const tooLate = new Error(`no whole list of files in ${limit / 1000} s`)
    const timer = setTimeout(() => answer.close(tooLate), limit)
    const parts: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of answer.chunks()) {
        parts.push(chunk)
        size += chunk.length
        if (size > MAX_JSON_BYTES) throw this.#unavailable('its list of files does not end')
      }
    } finally {
      clearTimeout(timer)
    }
    return Buffer.concat(parts).toString()
  }

  /** A file's hash and size, from the headers of the Hub or of the first host that has them. */
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
        throw this.#unavailable(`it does not tell the size of ${name}`)
      }
      return { hash: checkHash(normalizeEtag(etag), name), size: Number(size) }
    })
  }

  /** Reads a file of `size` bytes from byte `offset` on, once. */
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
        `${this.#id}: ${name} was asked for from byte ${offset}, and ` +
          (answer.status === 206 ? 'another part came' : 'the whole file came'),
        { details: { id: this.#id, file: name } },
      )
    }
    yield* answer.chunks()
  }

  /** The start of a file of `size` bytes: as much as `wanted` says, given what is there of it. */
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

  /** Waits before the next attempt, for longer each time, or for as long as the Hub asked. */
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
    const target = to === undefined ? 'no URL' : `${to.protocol}//${to.host}`
    throw new NodeMlxError(
      'ERR_DOWNLOAD_FAILED',
      `${this.#id}: ${from.host} redirects to ${target}, ` +
        (redirects < MAX_REDIRECTS ? 'which is not safe to follow' : 'after many other redirects'),
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
      setTimeout(() => controller.abort(new Error(`no answer for ${ms / 1000} s`)), ms)

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
            // By itself, a read may wait for ever if the connection is aborted at the wrong moment.
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
    // The endpoint may only redirect to a Hub, which is known by the reasons that it gives.
    const [code, problem] =
      this.#isHub(url) || HUB_REASONS.has(reason)
        ? explain(status, reason, this.#settings.token !== undefined)
        : explainStorage(status)
    // The Hub tells its limits in answers of any kind.
    const limit = status === 429 ? headers.get('ratelimit') : null
    const retryAfter = parseRetryAfter(headers.get('retry-after')) ?? parseRateLimit(limit)
    const details = {
      id: this.#id,
      host: url.host,
      status,
      // A Hub may send back whatever it was sent.
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
      `${this.#id}: ${this.#settings.endpoint} does not answer as the Hugging Face Hub does: ${problem}`,
      { cause, details: { id: this.#id } },
    )
  }
}

/** Unlike Python, Node does not use a proxy only because the environment names one. */
function proxyHint({ protocol }: URL): string {
  const name = protocol.replace(':', '_proxy')
  const variable = [name, name.toUpperCase()].find((candidate) => process.env[candidate])
  if (variable === undefined || process.env['NODE_USE_ENV_PROXY'] === '1') return ''
  return ` (Node.js uses the proxy of ${variable} only with NODE_USE_ENV_PROXY=1, from Node.js 22.21 on)`
}

/** Whether another attempt may help, soon. */
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
      'its owner decides who may have it: ask on its page, and give the token of an account that may',
    ]
  }
  if (status === 401) {
    return [
      'ERR_HUB_UNAUTHORIZED',
      hasToken
        ? 'there is no such model, or the token is wrong or may not read it'
        : 'there is no such model, or it is private and needs a token (option token, or HF_TOKEN)',
    ]
  }
  if (status === 404) {
    return [
      'ERR_HUB_NOT_FOUND',
      `there is no such ${NOT_FOUND[reason] ?? 'model, revision or file'}`,
    ]
  }
  return ['ERR_DOWNLOAD_FAILED', 'it refuses the request']
}

const GATED = 'GatedRepo'
const NOT_FOUND: Readonly<Record<string, string>> = {
  RepoNotFound: 'model',
  RevisionNotFound: 'revision',
  EntryNotFound: 'file',
}
const HUB_REASONS: ReadonlySet<string> = new Set([GATED, ...Object.keys(NOT_FOUND)])

/** The host that the Hub redirects to. Its addresses expire, so most errors go away with a new one. */
function explainStorage(status: number): [ErrorCode, string] {
  return status === 416 ? explain(status, '', false) : ['ERR_HUB_UNAVAILABLE', 'try again later']
}

/** Seconds, or a date, as seconds from now. */
function parseRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/u.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}

/** Seconds until requests are allowed again, of the Hub's `RateLimit: "api";r=0;t=37`. */
function parseRateLimit(text: string | null): number | undefined {
  const [, seconds] = /;\s*t=(\d{1,9})\b/u.exec(text ?? '') ?? []
  return seconds === undefined ? undefined : Number(seconds)
}
