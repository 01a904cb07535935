// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads that fail in a process which has a model at work; __test__/hub has every case of theirs.

import { chmodSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DownloadOptions } from 'node-mlx'
import { expect, test } from 'vitest'
import { expectCodes, inChild, type Outcome } from '../helpers/child'
import { blobs, snapshot } from '../helpers/hub-download'
import {
  COMMIT,
  folderFiles,
  ID,
  newCache,
  refuse,
  startHub,
  type Hub,
} from '../helpers/hub-server'
import { scratch } from '../helpers/models'

const WEIGHTS = 'model.safetensors'
const AT_ONCE = { 'Retry-After': '0' }

type Case = DownloadOptions & { id?: string }

/** What becomes of each of these downloads, in one child process. */
async function downloadInChild<K extends string>(
  cases: Record<K, Case>,
): Promise<Record<K, Outcome>> {
  return inChild(
    async ({ mlx, outcome }, { cases: wanted, usual }) => {
      const ended = Object.entries<Case>(wanted).map(async ([name, { id = usual, ...options }]) => [
        name,
        await outcome(mlx.downloadModel(id, options)),
      ])
      return Object.fromEntries(await Promise.all(ended)) as Record<K, Outcome>
    },
    { cases, usual: ID },
  )
}

/** A Hub that answers so, and where to download from it. */
async function startWith(intercept: Hub['intercept'], edit?: Hub['edit']): Promise<Hub> {
  const hub = await startHub()
  hub.intercept = intercept
  if (edit) hub.edit = edit
  return hub
}

test('row 48: each error of the Hub has its own code', async () => {
  const refusing = async (status: number, reason?: string): Promise<Case> =>
    (await startWith((_, response) => refuse(response, status, reason, AT_ONCE))).options
  const expected = {
    401: 'ERR_HUB_UNAUTHORIZED',
    403: 'ERR_HUB_GATED',
    404: 'ERR_HUB_NOT_FOUND',
    429: 'ERR_HUB_RATE_LIMITED',
    500: 'ERR_HUB_UNAVAILABLE',
    503: 'ERR_HUB_UNAVAILABLE',
  }
  const cases: Record<string, Case> = {}
  for (const status of Object.keys(expected)) cases[status] = await refusing(Number(status))
  const outcomes = await downloadInChild(cases)
  const codes = Object.entries(outcomes).map(([status, { code }]) => [status, code])
  expect(Object.fromEntries(codes)).toEqual(expected)
})

test('row 49: offline, only cached models are loaded, without a socket', async () => {
  const hub = await startHub()
  const found = await inChild(
    async ({ mlx, load, outcome }, { id, options }) => {
      const { subscribe } = process.getBuiltinModule('node:diagnostics_channel')
      let sockets = 0
      subscribe('net.client.socket', () => (sockets += 1))
      const offline = { ...options, offline: true }
      const missing = await outcome(mlx.loadModel(id, offline))
      const before = sockets
      await mlx.downloadModel(id, options)
      const online = sockets - before
      const model = await load(await mlx.downloadModel(id, offline))
      const { tokens } = await model.generate([1], { maxTokens: 3, ignoreEos: true })
      const cached = await outcome(mlx.loadModel(id, offline))
      return { missing, cached, made: tokens.length, before, online, after: sockets - online }
    },
    { id: ID, options: hub.options },
  )
  expect(found).toMatchObject({
    missing: { code: 'ERR_OFFLINE' },
    cached: { value: 'a model' },
    made: 3,
    before: 0,
    after: 0,
  })
  expect(found.online).toBeGreaterThan(0)
})

test('row 50: a corrupt download is an error, and never in the cache', async () => {
  const sending = (change: (data: Buffer) => Buffer, range?: string) =>
    startWith(({ host }, response) => {
      if (host === 'hub') return false
      const sent = change(folderFiles()[WEIGHTS] as Buffer)
      const headers = { 'Content-Length': sent.length, ...(range && { 'Content-Range': range }) }
      response.writeHead(range === undefined ? 200 : 206, headers).end(sent)
      return true
    })
  const hubs = {
    'short body': await sending((data) => data.subarray(0, 100)),
    'other bytes': await sending((data) => data.map((byte) => byte ^ 1) as Buffer),
    'wrong range': await sending((data) => data, 'bytes 5-9/10'),
  }
  const cases = Object.entries(hubs).map(([name, { options }]) => [name, options])
  expectCodes(
    await downloadInChild(Object.fromEntries(cases) as Record<string, Case>),
    'ERR_DOWNLOAD_CORRUPT',
  )
  for (const hub of Object.values(hubs)) {
    expect(snapshot(hub)).not.toContain(WEIGHTS)
    expect(blobs(hub).filter((name) => name.length === 64)).toEqual([])
  }
})

test('row 51: a name that points outside the cache is unsafe, from the Hub or the caller', async () => {
  const listing = async (file: object): Promise<Case> =>
    (await startWith(undefined, ({ sha }) => ({ sha, siblings: [file] }))).options
  const tagged = await startWith(
    ({ method }, response) => {
      if (method !== 'HEAD') return false
      response.writeHead(200, { ETag: '"../../x"', 'Content-Length': 2 }).end()
      return true
    },
    ({ sha }) => ({ sha, siblings: [{ rfilename: 'config.json' }] }),
  )
  const { options } = await startHub()
  const hash = COMMIT
  expectCodes(
    await downloadInChild({
      ETag: tagged.options,
      hash: await listing({ rfilename: 'a.json', size: 2, blobId: '../../x' }),
      'file above': await listing({ rfilename: '../a.json', size: 2, blobId: hash }),
      'absolute file': await listing({ rfilename: '/tmp/a.json', size: 2, blobId: hash }),
      'file of Windows': await listing({ rfilename: 'C:a.json', size: 2, blobId: hash }),
      repository: { ...options, id: '../x' },
      revision: { ...options, revision: '../../x' },
    }),
    'ERR_UNSAFE_PATH',
  )
})

test('row 52: the token is sent neither to another host nor over http, and appears in no error', async () => {
  const token = 'hf_VerySecretToken'
  const [good, wrong] = [await startHub(), await startWith((_, r) => refuse(r, 401, token))]
  const outcomes = await inChild(
    async ({ mlx, outcome }, { id, cases, token: secret }) => {
      const refused = await outcome(mlx.downloadModel(id, { ...cases.wrong, token: secret }))
      const moved = await outcome(mlx.downloadModel(id, { ...cases.good, token: secret }))
      const asked: string[] = []
      const { fetch } = globalThis
      globalThis.fetch = async (url) => {
        asked.push(String(url))
        return new Response(null, { status: 302, headers: { Location: 'http://hub.example/x' } })
      }
      const endpoint = 'https://hub.example'
      const unsafe = await outcome(
        mlx.downloadModel(id, { ...cases.wrong, endpoint, token: secret }),
      )
      globalThis.fetch = fetch
      return { refused, moved, unsafe, asked }
    },
    { id: ID, cases: { good: good.options, wrong: wrong.options }, token },
  )
  expect(outcomes).toMatchObject({
    refused: { code: 'ERR_HUB_UNAUTHORIZED' },
    unsafe: { code: 'ERR_DOWNLOAD_FAILED' },
  })
  expect(outcomes.moved.code).toBeUndefined()
  expect(outcomes.asked).toHaveLength(1)
  const sent = (host: string) =>
    new Set(good.requests.filter((r) => r.host === host).map((r) => r.authorization))
  expect(sent('hub')).toEqual(new Set([`Bearer ${token}`]))
  expect(sent('storage')).toEqual(new Set([undefined]))
  expect(JSON.stringify(outcomes)).not.toContain(token)
})

const canLimitFiles = process.platform === 'linux'

test.skipIf(!canLimitFiles)(
  'row 53: a full disk, or a cache that is read-only, fails the download and harms nothing' +
    (canLimitFiles ? '' : ' (skipped: the size of files can be limited on Linux only)'),
  async () => {
    const hub = await startHub()
    const readOnly = newCache()
    chmodSync(scratch(), 0o711)
    chmodSync(readOnly, 0o555)
    const outcomes = await inChild(
      async ({ mlx, outcome }, { id, options, locked }) => {
        const { execFileSync } = process.getBuiltinModule('node:child_process')
        // A limit on the size of files stops a write as a full disk does.
        const limitFiles = (bytes: number | 'unlimited') =>
          execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`])
        limitFiles(16_384)
        const full = await outcome(mlx.downloadModel(id, options))
        limitFiles('unlimited')
        // Root may write anywhere.
        const isRoot = process.geteuid?.() === 0
        if (isRoot) process.seteuid?.(65_534)
        const denied = await outcome(mlx.downloadModel(id, { ...options, cacheDir: locked }))
        if (isRoot) process.seteuid?.(0)
        const after = await outcome(mlx.loadModel(id, options))
        return { full, denied, after }
      },
      { id: ID, options: hub.options, locked: readOnly },
    )
    expectCodes({ full: outcomes.full, denied: outcomes.denied }, 'ERR_DOWNLOAD_FAILED')
    expect(outcomes.full.message).toContain('EFBIG')
    expect(outcomes.denied.message).toContain('EACCES')
    expect(outcomes.after).toEqual({ value: 'a model' })
    expect(readdirSync(readOnly)).toEqual([])
    const folder = join(hub.options.cacheDir, 'models--owner--tiny-model/snapshots', COMMIT)
    expect(existsSync(join(folder, WEIGHTS))).toBe(true)
  },
)
