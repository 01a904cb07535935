// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Requests to the Hub, and their errors with advice.

import { NodeMlxError, type ErrorCode } from '../errors'
import {
  readText,
  request,
  requestPart,
  type Answer,
  type Part,
  type Server,
} from '../transfer/request'
import { parseRetryAfter, RETRIES, retrying } from '../transfer/retry'
import { checkHash, normalizeEtag } from './files'
import type { Settings } from './settings'

/** A client for one repository of the Hub. */
export class HubClient {
  readonly server: Server
  readonly #settings: Settings
  readonly #id: string

  constructor(settings: Settings, id: string, signal: AbortSignal) {
    this.#settings = settings
    this.#id = id
    const { token, answerTimeoutMs, idleTimeoutMs } = settings
    this.server = {
      signal,
      answerTimeoutMs,
      idleTimeoutMs,
      retries: RETRIES,
      headers: (url): Record<string, string> =>
        this.#isHub(url) && token !== undefined ? { Authorization: `Bearer ${token}` } : {},
      isTransient: ({ code }) => code === 'ERR_HUB_UNAVAILABLE' || code === 'ERR_HUB_RATE_LIMITED',
      unreachable: (url, problem, cause) =>
        this.#error(
          'ERR_HUB_UNAVAILABLE',
          `the connection to ${url.host} failed: ${problem}`,
          { host: url.host },
          cause,
        ),
      refused: (answer) => this.#refused(answer),
      misdirected: ({ url }, problem) =>
        this.#error('ERR_DOWNLOAD_FAILED', problem, { host: url.host }),
    }
  }

  /** Fetches the Hub's description of a revision: its commit, and its files with sizes and hashes. */
  async revision(revision: string, retries: number): Promise<unknown> {
    const path = `/api/models/${this.#id}/revision/${encodeURIComponent(revision)}?blobs=true`
    return retrying({ ...this.server, retries }, async () => {
      const answer = await request(this.#url(path), this.server)
      const list = await readText(answer, 'the file list', this.server)
      try {
        return JSON.parse(list) as unknown
      } catch (cause) {
        throw this.#unexpected('the response is not JSON', cause)
      }
    })
  }

  /** Fetches a file's hash and size, from the headers of the Hub or of the first host that sends them. */
  async describe(commit: string, name: string): Promise<{ hash: string; size: number }> {
    return retrying(this.server, async () => {
      const answer = await request(this.#fileUrl(commit, name), this.server, {
        method: 'HEAD',
        follow: (from, to) => from.origin === to.origin,
      })
      answer.close()
      const { headers } = answer
      const etag = headers.get('x-linked-etag') ?? headers.get('etag')
      const size = headers.get('x-linked-size') ?? headers.get('content-length')
      if (size === null || !/^\d{1,15}$/u.test(size)) {
        throw this.#unexpected(`the response lacks the size of ${name}`)
      }
      return { hash: checkHash(normalizeEtag(etag), name), size: Number(size) }
    })
  }

  /** Requests a file of `size` bytes from byte `offset`, without retries. */
  async read(commit: string, name: string, offset: number, size: number): Promise<Part> {
    return requestPart(this.#fileUrl(commit, name), this.server, offset, size, (problem) =>
      this.corrupt(name, problem),
    )
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
    return retrying(this.server, async () => {
      let parts: Uint8Array[] = []
      let length = 0
      let end = first
      for await (const chunk of (await this.read(commit, name, 0, size)).chunks) {
        parts.push(chunk)
        length += chunk.length
        if (length < end) continue
        const start = Buffer.concat(parts)
        end = wanted(start)
        if (length >= end) return start.subarray(0, end)
        parts = [start]
      }
      throw this.#unexpected(`${name} ends early`)
    })
  }

  /** The error for a file that is not as expected. */
  corrupt(name: string, problem: string): NodeMlxError {
    const message = `the download of ${name} is corrupt: ${problem}`
    return this.#error('ERR_DOWNLOAD_CORRUPT', message, { file: name })
  }

  #fileUrl(commit: string, name: string): URL {
    const path = name.split('/').map(encodeURIComponent).join('/')
    return this.#url(`/${this.#id}/resolve/${commit}/${path}`)
  }

  #url(path: string): URL {
    return new URL(this.#settings.endpoint + path)
  }

  #isHub(url: URL): boolean {
    return url.origin === new URL(this.#settings.endpoint).origin
  }

  #refused({ url, status, headers }: Answer): NodeMlxError {
    const { token } = this.#settings
    const reason = headers.get('x-error-code') ?? ''
    // The endpoint may redirect to another Hub, which is recognised by its error codes.
    const [code, problem] =
      this.#isHub(url) || HUB_REASONS.has(reason)
        ? explain(status, reason, token !== undefined)
        : explainStorage(status)
    // The Hub sends its rate limits with every response.
    const limit = status === 429 ? headers.get('ratelimit') : null
    const retryAfter = parseRetryAfter(headers.get('retry-after')) ?? parseRateLimit(limit)
    return this.#error(code, `${url.host} answered ${status}: ${problem}`, {
      host: url.host,
      status,
      // A server may echo the token.
      ...(/^\w{1,40}$/u.test(reason) && reason !== token && { reason }),
      ...(retryAfter !== undefined && { retryAfter }),
    })
  }

  #unexpected(problem: string, cause?: unknown): NodeMlxError {
    const message = `unexpected response from ${this.#settings.endpoint}: ${problem}`
    return this.#error('ERR_HUB_UNAVAILABLE', message, {}, cause)
  }

  #error(
    code: ErrorCode,
    message: string,
    details: Record<string, unknown>,
    cause?: unknown,
  ): NodeMlxError {
    const id = this.#id
    return new NodeMlxError(code, `${id}: ${message}`, { cause, details: { id, ...details } })
  }
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

/** Returns the seconds until requests are allowed again, from the Hub's `RateLimit: "api";r=0;t=37`. */
function parseRateLimit(text: string | null): number | undefined {
  const [, seconds] = /;\s*t=(\d{1,9})\b/u.exec(text ?? '') ?? []
  return seconds === undefined ? undefined : Number(seconds)
}
