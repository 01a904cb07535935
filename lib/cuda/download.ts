// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads a wheel from the Python Package Index, or from the one that `PIP_INDEX_URL` names.

import { posix } from 'node:path'
import { invalidArgument, NodeMlxError } from '../errors'
import { fill } from '../transfer/partial'
import { readText, request, requestPart, type Server } from '../transfer/request'
import { parseRetryAfter, RETRIES } from '../transfer/retry'
import type { Wheel } from './wheels'

const INDEX = 'https://pypi.org/simple'
/** As long as pip waits. */
const TIMEOUT_MS = 15_000
/** Answers below 500 that may be different soon. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 429])

/** How patient a download is. */
export type Limits = Partial<Pick<Server, 'idleTimeoutMs' | 'retries'>>

/** Downloads a wheel to a file, from where an earlier download ended, and verifies it. */
export async function fetchWheel(
  wheel: Wheel,
  path: string,
  report: (loaded: number) => void,
  limits: Limits = {},
): Promise<void> {
  const { file, size, sha256 } = wheel
  const page = findPage(wheel)
  const server = createServer(file, page.origin, takeSecret(page), limits)
  const corrupt = (problem: string): NodeMlxError => corruption(file, problem)
  await fill(
    path,
    { size, hash: sha256 },
    {
      server,
      report,
      corrupt,
      read: async (offset) =>
        requestPart(await findWheel(page, file, server), server, offset, size, corrupt),
    },
  )
}

/** The page of a package. */
function findPage({ name }: Wheel): URL {
  const index = process.env['PIP_INDEX_URL'] || INDEX
  const page = `${index.replace(/\/+$/u, '')}/${name}/`
  if (URL.canParse(page)) return new URL(page)
  throw invalidArgument('PIP_INDEX_URL', `expected a URL such as ${INDEX}`)
}

/** Takes the name and password out of an address, for which fetch has no use, and returns them as a header. */
function takeSecret(url: URL): Record<string, string> {
  const secret = [url.username, url.password].map(decodeURIComponent).join(':')
  url.username = ''
  url.password = ''
  return secret === ':' ? {} : { Authorization: `Basic ${Buffer.from(secret).toString('base64')}` }
}

/** Finds the address of a wheel on its package's page. */
async function findWheel(page: URL, file: string, server: Server): Promise<URL> {
  const html = await readText(await request(page, server), 'the list of files', server)
  for (const [, link = ''] of html.matchAll(/href\s*=\s*"([^"#]+)/gu)) {
    const address = link.replaceAll('&amp;', '&')
    const url = URL.canParse(address, page.href) ? new URL(address, page) : undefined
    if (url !== undefined && posix.basename(url.pathname) === file) return url
  }
  throw new NodeMlxError('ERR_DOWNLOAD_FAILED', `the package index does not have ${file}`, {
    details: { file, status: 404 },
  })
}

/** The package index, and the host of the files that it links to. Only the index gets its secret. */
function createServer(
  file: string,
  index: string,
  secret: Record<string, string>,
  { idleTimeoutMs = TIMEOUT_MS, retries = RETRIES }: Limits,
): Server {
  const failure = (message: string, details: object, cause?: unknown): NodeMlxError =>
    new NodeMlxError('ERR_DOWNLOAD_FAILED', `${file}: ${message}`, {
      details: { file, ...details },
      cause,
    })
  return {
    answerTimeoutMs: TIMEOUT_MS,
    idleTimeoutMs,
    retries,
    headers: (url) => (url.origin === index ? secret : {}),
    isTransient({ code, details }) {
      const status = (details?.['status'] ?? 500) as number
      return code === 'ERR_DOWNLOAD_FAILED' && (status >= 500 || TRANSIENT.has(status))
    },
    unreachable: ({ host }, problem, cause) =>
      failure(`the connection to ${host} failed: ${problem}`, { host }, cause),
    refused({ url: { host }, status, headers }) {
      if (status === 416) return corruption(file, 'it is shorter than it should be')
      const retryAfter = parseRetryAfter(headers.get('retry-after'))
      const details = { host, status, ...(retryAfter !== undefined && { retryAfter }) }
      return failure(`${host} answered ${status}`, details)
    },
    misdirected: ({ url: { host }, status }, problem) => failure(problem, { host, status }),
  }
}

function corruption(file: string, problem: string): NodeMlxError {
  return new NodeMlxError(
    'ERR_DOWNLOAD_CORRUPT',
    `the download of ${file} is corrupt: ${problem}`,
    { details: { file } },
  )
}
