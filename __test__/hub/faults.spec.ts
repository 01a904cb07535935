// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { downloadModel, loadModel, type DownloadOptions, type NodeMlxError } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { blobs, failure, FOLDER, random } from '../helpers/hub-download'
import {
  blobName,
  COMMIT,
  ID,
  newCache,
  refuse,
  sha256,
  startHub,
  type Hub,
} from '../helpers/hub-server'
import { until } from '../helpers/patience'

const NOW = { 'Retry-After': '0' }
/** Nobody listens at it, as it is given to no server that asks for any port. */
const CLOSED = 2

type Ended = Promise<{ error: unknown; ms: number }>

let unreachable: Ended
let cut: Ended
const cutting = createTcpServer((socket) => socket.destroy())

// Takes long, so that it is done meanwhile.
beforeAll(async () => {
  const file = { rfilename: 'a.json', size: 2, blobId: '0'.repeat(40) }
  const server = createServer(({ url = '' }, response) => {
    if (url.startsWith('/api/')) response.end(JSON.stringify({ sha: COMMIT, siblings: [file] }))
    else response.writeHead(302, { Location: `http://127.0.0.1:${CLOSED}/?signature=s3cret` }).end()
  })
  const redirecting = await listen(server)
  const cutter = await listen(cutting)
  vi.stubEnv('HTTP_PROXY', 'http://proxy.example')
  const attempt = async (endpoint: number): Ended => {
    const start = performance.now()
    const options = { cacheDir: newCache(), token: 'hf_VerySecretToken' }
    const error = await downloadModel(ID, {
      ...options,
      endpoint: `http://127.0.0.1:${endpoint}`,
    }).catch((reason: unknown) => reason)
    return { error, ms: performance.now() - start }
  }
  unreachable = attempt(redirecting).finally(() => server.close())
  cut = attempt(cutter)
})

afterAll(() => cutting.close())

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

describe('row 48: the Hub rejects', () => {
  test.each([
    [401, 'RepoNotFound', 'ERR_HUB_UNAUTHORIZED', 1],
    [401, undefined, 'ERR_HUB_UNAUTHORIZED', 1],
    [401, 'GatedRepo', 'ERR_HUB_GATED', 1],
    [403, 'GatedRepo', 'ERR_HUB_GATED', 1],
    [403, undefined, 'ERR_HUB_GATED', 1],
    [404, 'RepoNotFound', 'ERR_HUB_NOT_FOUND', 1],
    [404, 'RevisionNotFound', 'ERR_HUB_NOT_FOUND', 1],
    [400, undefined, 'ERR_DOWNLOAD_FAILED', 1],
    [429, undefined, 'ERR_HUB_RATE_LIMITED', 6],
    [500, undefined, 'ERR_HUB_UNAVAILABLE', 6],
    [503, undefined, 'ERR_HUB_UNAVAILABLE', 6],
  ] as const)('with %i %s: %s', async (status, reason, code, attempts) => {
    const hub = await startHub()
    hub.intercept = (_, response) => refuse(response, status, reason, NOW)
    const error = await failure(hub)
    expect(error).toMatchObject({ code, details: { id: ID, status } })
    expect(error.message).toContain(ID)
    expect(hub.requests).toHaveLength(attempts)
  })

  test('a gated file, although its list is public', async () => {
    const hub = await startHub()
    hub.intercept = ({ path }, response) =>
      path.includes('/resolve/') && refuse(response, 403, 'GatedRepo')
    expect(await failure(hub)).toMatchObject({ code: 'ERR_HUB_GATED' })
    expect(blobs(hub)).toEqual([])
  })

  test('every request twice', async () => {
    const hub = await startHub()
    const counts = new Map<string, number>()
    hub.intercept = ({ path }, response) => {
      const count = counts.get(path) ?? 0
      counts.set(path, count + 1)
      return count < 2 && refuse(response, count === 0 ? 500 : 429, undefined, NOW)
    }
    expect(await downloadModel(ID, hub.options)).toContain(COMMIT)
  })

  test('too many requests, with the time to wait', async () => {
    const hub = await startHub()
    hub.intercept = (_, response) =>
      hub.requests.length === 1 && refuse(response, 429, undefined, { 'Retry-After': '1' })
    const start = performance.now()
    await downloadModel(ID, hub.options)
    expect(performance.now() - start).toBeGreaterThan(990)
    hub.intercept = (_, response) => refuse(response, 429, undefined, { 'Retry-After': '3600' })
    const other = { cacheDir: `${hub.options.cacheDir}2` }
    expect(await failure(hub, other)).toMatchObject({
      code: 'ERR_HUB_RATE_LIMITED',
      details: { retryAfter: 3600 },
    })
    hub.intercept = (_, response) =>
      refuse(response, 429, undefined, { RateLimit: '"api";r=0;t=400' })
    expect(await failure(hub, other)).toMatchObject({ details: { retryAfter: 400 } })
  })

  test('expired URLs: the next attempt gets a new one', async () => {
    const hub = await startHub()
    hub.intercept = ({ host }, response) =>
      host === 'storage' &&
      hub.requests.filter((request) => request.host === 'storage').length === 1 &&
      refuse(response, 403, undefined, NOW)
    await downloadModel(ID, hub.options)
    expect(hub.requests.filter(({ host }) => host === 'storage')).toHaveLength(2)
  })
})

describe('row 48: connections', () => {
  test('that are interrupted resume where they left off', async () => {
    const hub = await startHub({ 'model.safetensors': random(2 ** 20) })
    let cuts = 0
    hub.intercept = ({ host }, response) => {
      if (host === 'hub') return false
      hub.burst = cuts < 3 ? 2 ** 6 : Infinity
      if (cuts < 3) {
        cuts += 1
        const before = bytesOfPartial(hub)
        void until(() => bytesOfPartial(hub) > before).finally(() => response.destroy())
      }
      return false
    }
    const folder = await downloadModel(ID, hub.options)
    expect(sha256(readFileSync(join(folder, 'model.safetensors')))).toBe(
      sha256(hub.files['model.safetensors'] as Buffer),
    )
    const starts = hub.requests
      .filter(({ host }) => host === 'storage')
      .map(({ range }) => Number(range?.replaceAll(/\D/gu, '') ?? 0))
    expect(starts).toHaveLength(4)
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    expect(starts.at(-1)).toBeGreaterThan(0)
  })

  test('that stall are closed and retried', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.5')
    vi.stubEnv('HF_HUB_ETAG_TIMEOUT', '0.5')
    const hub = await startHub()
    let silent = 0
    hub.intercept = (_, response) => {
      silent += 1
      if (silent === 1) return true
      if (silent === 2) response.writeHead(200).write('{')
      return silent === 2
    }
    expect(await downloadModel(ID, hub.options)).toContain(COMMIT)
    expect(silent).toBeGreaterThan(3)
  })

  test('that send a file list too slowly are closed', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.2')
    hub.intercept = (_, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(timer))
      return true
    }
    expect(await downloadModel(ID, hub.options)).toBe(folder)
  })

  test('are not needed for cached models', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    for (const status of [500, 429, 401, 403, 400, 451]) {
      hub.intercept = (_, response) => refuse(response, status)
      expect(await downloadModel(ID, hub.options)).toBe(folder)
    }
    hub.intercept = (_, response) => refuse(response, 404, 'RevisionNotFound')
    expect(await failure(hub)).toMatchObject({ code: 'ERR_HUB_NOT_FOUND' })
    await hub.close()
    expect(await downloadModel(ID, hub.options)).toBe(folder)
  })
})

describe('row 49: offline', () => {
  test('only the cache is used, without a request', async () => {
    const hub = await startHub()
    const offline = { ...hub.options, offline: true }
    expect(await failure(hub, offline)).toMatchObject({ code: 'ERR_OFFLINE' })
    expect(hub.requests).toEqual([])
    const folder = await downloadModel(ID, hub.options)
    const before = hub.requests.length
    expect(await downloadModel(ID, offline)).toBe(folder)
    vi.stubEnv('HF_HUB_OFFLINE', 'yes')
    expect(await downloadModel(ID, hub.options)).toBe(folder)
    expect(await downloadModel(ID, { ...hub.options, revision: COMMIT })).toBe(folder)
    expect(await failure(hub, { revision: 'v2' })).toMatchObject({ code: 'ERR_OFFLINE' })
    rmSync(join(folder, 'model.safetensors'))
    expect(await failure(hub)).toMatchObject({ code: 'ERR_OFFLINE' })
    const error = await loadModel(ID, hub.options).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_OFFLINE' })
    expect(hub.requests).toHaveLength(before)
  })
})

describe('row 53: the cache', () => {
  test('keeps the old commit in use until the new one is complete', async () => {
    const hub = await startHub()
    const old = await downloadModel(ID, hub.options)
    hub.commit = 'abcdef'.padEnd(40, '1')
    hub.files = { ...hub.files, 'extra.json': Buffer.from('{}') }
    hub.intercept = ({ path }, response) =>
      path.endsWith('extra.json') && refuse(response, 403, 'GatedRepo')
    expect(await failure(hub)).toMatchObject({ code: 'ERR_HUB_GATED' })
    expect(await downloadModel(ID, { ...hub.options, offline: true })).toBe(old)
    hub.intercept = undefined
    const folder = await downloadModel(ID, hub.options)
    expect(folder).toContain(hub.commit)
    expect(await downloadModel(ID, { ...hub.options, offline: true })).toBe(folder)
  })

  test('that cannot be written to', async () => {
    const hub = await startHub()
    const file = join(hub.options.cacheDir, 'file')
    writeFileSync(file, '')
    const error = await failure(hub, { cacheDir: join(file, 'cache') })
    expect(error).toMatchObject({ code: 'ERR_DOWNLOAD_FAILED', cause: { code: 'ENOTDIR' } })
  })

  test('with a folder where a blob should be', async () => {
    const hub = await startHub()
    const data = hub.files['config.json'] as Buffer
    const blob = join(hub.options.cacheDir, FOLDER, 'blobs', blobName('config.json', data))
    mkdirSync(join(blob, 'x'), { recursive: true })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_DOWNLOAD_FAILED' })
    rmSync(blob, { recursive: true })
    expect(await downloadModel(ID, hub.options)).toContain(COMMIT)
  })

  test('with a truncated blob and broken links is repaired', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    const [config, tokenizer] = ['config.json', 'tokenizer.json'].map((name) => hub.files[name])
    const root = join(hub.options.cacheDir, FOLDER)
    writeFileSync(join(root, 'blobs', blobName('', config as Buffer)), 'x')
    rmSync(join(root, 'blobs', blobName('', tokenizer as Buffer)))
    await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, 'config.json')).equals(config as Buffer)).toBe(true)
    expect(readFileSync(join(folder, 'tokenizer.json')).equals(tokenizer as Buffer)).toBe(true)
  })

  test('in which a user replaced a file is kept unchanged', async () => {
    const hub = await startHub()
    const config = join(await downloadModel(ID, hub.options), 'config.json')
    rmSync(config)
    writeFileSync(config, '{"mine":true}')
    for (const offline of [true, false]) await downloadModel(ID, { ...hub.options, offline })
    expect(readFileSync(config, 'utf8')).toBe('{"mine":true}')
  })
})

describe('row 40: aborting', () => {
  test(
    'before the start, during a request, during a download, and before a retry',
    { retry: 2 },
    async () => {
      // Whatever an abort could wait for takes longer than it may.
      for (const name of ['ETAG', 'DOWNLOAD']) vi.stubEnv(`HF_HUB_${name}_TIMEOUT`, '100')
      const hub = await startHub({ 'model.safetensors': random(2 ** 20) })
      const expected = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' }
      expect(await failure(hub, { signal: AbortSignal.abort('enough') })).toMatchObject(expected)
      expect(hub.requests).toEqual([])

      hub.intercept = () => true
      expect(await abortOnce(hub, () => hub.requests.length > 0)).toMatchObject(expected)
      hub.intercept = undefined

      hub.burst = 2 ** 6
      expect(await abortOnce(hub, () => bytesOfPartial(hub) > 0)).toMatchObject(expected)
      expect(blobs(hub)).toEqual([expect.stringMatching(/\.incomplete$/u)])

      let isRefused = false
      hub.intercept = (_, response) => {
        isRefused = true
        return refuse(response, 429, undefined, { 'Retry-After': '100' })
      }
      expect(await abortOnce(hub, () => isRefused)).toMatchObject(expected)
      hub.intercept = undefined

      hub.burst = Infinity
      hub.requests.length = 0
      await downloadModel(ID, hub.options)
      expect(hub.requests.at(-1)?.range).toMatch(/^bytes=\d+-$/u)
    },
  )

  test('loadModel, while it downloads', async () => {
    const hub = await startHub({ 'model.safetensors': random(2 ** 20) })
    hub.burst = 2 ** 13
    const signal = AbortSignal.timeout(100)
    const error = await loadModel(ID, { ...hub.options, signal }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ABORT_ERR' })
  })
  test('while a connection is silent, even about its abort', async () => {
    const controller = new AbortController()
    vi.stubGlobal('fetch', async () => {
      setTimeout(() => controller.abort('enough'), 10)
      return new Response(new ReadableStream())
    })
    onTestFinished(() => {
      vi.unstubAllGlobals()
    })
    const hub = await startHub()
    expect(await failure(hub, { signal: controller.signal })).toMatchObject({ code: 'ABORT_ERR' })
  })
})

test('row 43: an exception in onProgress of a download reaches the caller', async () => {
  const hub = await startHub()
  const thrown = new Error('no more')
  const onProgress = (): never => {
    throw thrown
  }
  await expect(downloadModel(ID, { ...hub.options, onProgress })).rejects.toBe(thrown)
  expect(await downloadModel(ID, hub.options)).toContain(COMMIT)
})

test('options are checked', async () => {
  const hub = await startHub()
  const wrong: Record<string, unknown>[] = [
    { revision: '' },
    { revision: 7 },
    { cacheDir: 'a\0b' },
    { token: 7 },
    { endpoint: 'huggingface.co' },
    { endpoint: 'ftp://hub.example' },
    { endpoint: 'https://user:password@hub.example' },
    { endpoint: 'https://:password@hub.example' },
    { offline: 'yes' },
    { device: 'cpu' },
  ]
  for (const options of wrong) {
    expect(await failure(hub, options as DownloadOptions)).toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
    })
  }
})

test('row 48: a Hub that closes every connection is retried several times, with growing delays', async () => {
  const { error, ms } = await cut
  expect(error).toMatchObject({ code: 'ERR_HUB_UNAVAILABLE', cause: expect.any(Error) as Error })
  // The second where the request came before the connection was closed.
  expect((error as Error).message).toMatch(/UND_ERR_SOCKET|ECONNRESET/u)
  expect(ms).toBeGreaterThan(5000)
})

test('row 48: an unreachable host is retried several times, with growing delays', async () => {
  const { error, ms } = await unreachable
  expect(error).toMatchObject({ code: 'ERR_HUB_UNAVAILABLE', cause: expect.any(Error) as Error })
  expect((error as Error).message).toContain('ECONNREFUSED')
  expect((error as Error).message).toContain('HTTP_PROXY only with NODE_USE_ENV_PROXY=1')
  expect(inspect(error, { depth: 9 })).not.toMatch(/hf_Very|s3cret/u)
  expect(ms).toBeGreaterThan(5000)
})

/** How much of a file is on the disk before it is complete. */
function bytesOfPartial(hub: Hub): number {
  const folder = join(hub.options.cacheDir, FOLDER, 'blobs')
  const partial = blobs(hub).find((name) => name.endsWith('.incomplete'))
  return partial === undefined ? 0 : statSync(join(folder, partial)).size
}

/** Aborts a download as soon as something is so. */
async function abortOnce(hub: Hub, isSo: () => boolean): Promise<NodeMlxError> {
  const controller = new AbortController()
  const failed = failure(hub, { signal: controller.signal })
  await until(isSo)
  const abortedAt = performance.now()
  controller.abort('enough')
  const error = await failed
  expect(performance.now() - abortedAt).toBeLessThan(1000)
  return error
}
