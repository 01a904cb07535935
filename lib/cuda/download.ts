// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads a wheel from the Python Package Index, or from the one that `PIP_INDEX_URL` names.

import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { posix } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeMlxError } from '../errors'
import type { Wheel } from './wheels'

const INDEX = 'https://pypi.org/simple'
const RETRIES = 5
const PAUSE_MS = 1000

/** Downloads a wheel to a file, from where an earlier download ended, and verifies it. */
export async function fetchWheel(
  wheel: Wheel,
  path: string,
  report: (loaded: number) => void,
): Promise<void> {
  for (let failures = 0; ; failures += 1) {
    try {
      await receive(wheel, path, report)
      break
    } catch (error) {
      const status = error instanceof NodeMlxError ? error.details?.['status'] : undefined
      const isFinal = typeof status === 'number' && status < 500
      const code = (error as NodeJS.ErrnoException).code ?? ''
      if (isFinal || failures === RETRIES || ['EACCES', 'ENOSPC', 'EROFS'].includes(code))
        throw asFailure(wheel, error)
      await sleep(PAUSE_MS * 2 ** failures)
    }
  }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  if (hash.digest('hex') === wheel.sha256) return
  await rm(path)
  throw new NodeMlxError(
    'ERR_DOWNLOAD_CORRUPT',
    `the download of ${wheel.file} is corrupt: its hash differs from the expected one`,
    { details: { file: wheel.file } },
  )
}

/** Downloads the part of a wheel that is missing. */
async function receive(
  wheel: Wheel,
  path: string,
  report: (loaded: number) => void,
): Promise<void> {
  let loaded = await sizeOf(path)
  if (loaded >= wheel.size) return
  const url = await findWheel(wheel)
  const response = await get(url, loaded > 0 ? { Range: `bytes=${loaded}-` } : {})
  // A server that does not know ranges sends all of it.
  if (response.status !== 206) loaded = 0
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      loaded += chunk.length
      report(loaded)
      done(null, chunk)
    },
  })
  const body = Readable.fromWeb(response.body as ReadableStream)
  await pipeline(body, count, createWriteStream(path, { flags: loaded > 0 ? 'a' : 'w' }))
  if (loaded < wheel.size) throw new Error('the connection ended too early')
}

/** Finds the address of a wheel on its package's page. */
async function findWheel({ name, file }: Wheel): Promise<URL> {
  const index = process.env['PIP_INDEX_URL'] || INDEX
  const page = `${index.replace(/\/+$/u, '')}/${name}/`
  const html = await (await get(new URL(page), {})).text()
  for (const [, link = ''] of html.matchAll(/href\s*=\s*"([^"#]+)/gu)) {
    const url = new URL(link.replaceAll('&amp;', '&'), page)
    if (posix.basename(decodeURIComponent(url.pathname)) === file) return url
  }
  throw failure(`the package index does not have ${file}`, { file, status: 404 })
}

async function get(url: URL, headers: Record<string, string>): Promise<Response> {
  const target = new URL(url)
  const { username, password } = target
  // fetch takes no address with a password.
  target.username = ''
  target.password = ''
  const secret = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  const response = await fetch(target, {
    headers: {
      'User-Agent': 'node-mlx',
      'Accept-Encoding': 'identity',
      ...headers,
      ...(username && { Authorization: `Basic ${secret.toString('base64')}` }),
    },
  })
  if (response.ok) return response
  await response.body?.cancel()
  const { status } = response
  throw failure(`${target.host} answered ${status}`, { host: target.host, status })
}

function asFailure({ file }: Wheel, error: unknown): NodeMlxError {
  if (error instanceof NodeMlxError) return error
  const { message, cause } = error as Error & { cause?: Error }
  return failure(`${file} could not be downloaded: ${cause?.message ?? message}`, { file }, error)
}

function failure(message: string, details: Record<string, unknown>, cause?: unknown): NodeMlxError {
  return new NodeMlxError('ERR_DOWNLOAD_FAILED', message, { details, cause })
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
