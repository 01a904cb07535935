// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { inspect } from 'node:util'
import { downloadModel } from 'node-mlx'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { isSafe } from '../../lib/hub/files'
import { blobs, failure, FOLDER, random, snapshot } from '../helpers/hub-download'
import { blobName, COMMIT, ID, refuse, sha256, startHub, type Hub } from '../helpers/hub-server'
import { makeFifo } from '../helpers/models'

const NOW = { 'Retry-After': '0' }
const TOKEN = 'hf_VerySecretToken'

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('row 50: corrupt files never get into the cache', () => {
  const large = 'model.safetensors'

  test.each([
    ['a short body', large, (data: Buffer) => data.subarray(0, 100), undefined],
    ['a short small file', 'config.json', (data: Buffer) => data.subarray(0, 10), undefined],
    ['a long body', large, (data: Buffer) => Buffer.concat([data, data]), undefined],
    ['other bytes', large, (data: Buffer) => Buffer.alloc(data.length), undefined],
    [
      'other bytes of a small file',
      'config.json',
      (data: Buffer) => Buffer.alloc(data.length),
      undefined,
    ],
    ['another range', large, (data: Buffer) => data, 'bytes 5-9/10'],
    ['no body', large, () => Buffer.alloc(0), undefined],
  ] as const)('%s', async (_, name, change, range) => {
    const hub = await startHub()
    const data = hub.files[name] as Buffer
    hub.intercept = ({ host, path }, response) => {
      if (!path.includes(`/${name}`) || (name === large && host === 'hub')) return false
      const sent = change(data)
      const contentRange = range !== undefined && { 'Content-Range': range }
      response.writeHead(contentRange ? 206 : 200, {
        'Content-Length': sent.length,
        ...contentRange,
      })
      response.end(sent)
      return true
    }
    const error = await failure(hub)
    expect(error).toMatchObject({ code: 'ERR_DOWNLOAD_CORRUPT', details: { id: ID, file: name } })
    expect(blobs(hub)).not.toContain(blobName(name, data))
    expect(snapshot(hub)).not.toContain(name)
    hub.intercept = undefined
    const folder = await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, name)).equals(data)).toBe(true)
  })

  test.each([
    ['is ignored', {}, 200],
    ['is answered with another one', { 'Content-Range': 'bytes 0-9/10' }, 206],
  ])('a partial file is dropped when the range %s', async (_, headers, status) => {
    const hub = await startHub({ [large]: random(5000) })
    const data = hub.files[large] as Buffer
    leavePartial(hub, data.subarray(0, 2000))
    hub.intercept = ({ host, range }, response) => {
      if (host !== 'storage' || range === undefined) return false
      response.writeHead(status, headers).end(data)
      return true
    }
    const folder = await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, large)).equals(data)).toBe(true)
    expect(blobs(hub)).toEqual([sha256(data)])
  })

  test.each([
    ['wrong bytes', Buffer.alloc(2000)],
    ['too many bytes', Buffer.alloc(6000)],
  ])('a partial file of %s is dropped', async (_, left) => {
    const hub = await startHub({ [large]: random(5000) })
    leavePartial(hub, left)
    const folder = await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, large)).equals(hub.files[large] as Buffer)).toBe(true)
    expect(blobs(hub)).toHaveLength(1)
  })

  test('a file list that is not a list', async () => {
    const hub = await startHub()
    for (const info of [null, 7, [], {}, { sha: COMMIT.slice(1) }, { sha: '../../x' }]) {
      hub.edit = () => info
      expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
    }
    hub.edit = () => ({ sha: COMMIT, siblings: [null, 1, { rfilename: 2 }] })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_MODEL_FILE_MISSING' })
    const depth = 100_000
    for (const nested of [`${'['.repeat(depth)}${']'.repeat(depth)}`, `"${'x'.repeat(10 ** 6)}"`]) {
      hub.intercept = (_, response) => {
        response.end(`{"sha":${nested}}`)
        return true
      }
      const error = await failure(hub)
      expect(error).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
      expect(inspect(error, { depth: 9, maxStringLength: null }).length).toBeLessThan(5000)
    }
  })

  test('an endless file list, or endless headers', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    let sent = 0
    hub.intercept = async (_, response) => {
      for (; !response.destroyed; sent += 2 ** 20) {
        if (!response.write(' '.repeat(2 ** 20))) await once(response, 'drain').catch(() => {})
        if (sent > 2 ** 26) break
      }
      return true
    }
    expect(await downloadModel(ID, hub.options)).toBe(folder)
    expect(sent).toBeLessThan(2 ** 25)
    let cuts = 0
    hub.intercept = (_, { socket }) => {
      socket?.write('HTTP/1.1 200 OK\r\n')
      const timer = setInterval(() => socket?.write(`X-More: ${'x'.repeat(1000)}\r\n`), 1)
      socket?.on('error', () => {})
      socket?.on('close', () => {
        cuts += 1
        clearInterval(timer)
      })
      return true
    }
    expect(await downloadModel(ID, hub.options)).toBe(folder)
    await expect.poll(() => cuts).toBe(1)
  })
})

describe.skipIf(process.platform === 'win32')('what other users left in the cache', () => {
  const large = 'model.safetensors'

  test('is not written to through a link', async () => {
    const hub = await startHub({ [large]: random(5000) })
    const data = hub.files[large] as Buffer
    const victim = join(hub.options.cacheDir, 'victim')
    writeFileSync(victim, 'precious')
    const link = leavePartial(hub, data)
    rmSync(link)
    symlinkSync(victim, link)
    const folder = await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, large)).equals(data)).toBe(true)
    expect(readFileSync(victim, 'utf8')).toBe('precious')
  })

  test.each(['a folder', 'a pipe'])('does not hold the download up: %s', async (what) => {
    const hub = await startHub({ [large]: random(5000) })
    const data = hub.files[large] as Buffer
    const partial = leavePartial(hub, data)
    const lock = join(hub.options.cacheDir, '.locks', FOLDER, `${sha256(data)}.lock`)
    mkdirSync(dirname(lock), { recursive: true })
    rmSync(partial)
    for (const path of [partial, lock]) {
      if (what === 'a folder') mkdirSync(path)
      else makeFifo(path)
    }
    const folder = await downloadModel(ID, hub.options)
    expect(readFileSync(join(folder, large)).equals(data)).toBe(true)
  })
})

describe('row 51: names that point outside the cache are rejected', () => {
  test.each([
    '../x/y.json',
    '/etc/x.json',
    'a/../../x.json',
    'a\\b.json',
    'C:x.json',
    'a//b.json',
    './x.json',
    '\uD800.json',
  ])('file %j', async (name) => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [name]: Buffer.from('{}') })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
    expect(hub.fileRequests()).toEqual([])
  })

  test('file with NUL', async () => {
    const hub = await startHub({ 'a\0.json': Buffer.from('{}') })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
  })

  test.each(['../../x', 'a/b', '', 'x'.repeat(40), 'A'.repeat(64)])('hash %j', async (hash) => {
    const hub = await startHub()
    hub.edit = ({ sha }) => ({ sha, siblings: [{ rfilename: 'a.json', size: 2, blobId: hash }] })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
    hub.edit = ({ sha }) => ({ sha, siblings: [{ rfilename: 'config.json' }] })
    hub.intercept = ({ method }, response) => {
      if (method === 'HEAD')
        response.writeHead(200, { ETag: `"${hash}"`, 'Content-Length': 2 }).end()
      return method === 'HEAD'
    }
    expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
  })

  test.each([
    '../x',
    'x/..',
    'owner/na me',
    'owner/a--b',
    'o\\w/x',
    'own:er/x',
    'a/.b',
    'x',
    `owner/${'x'.repeat(97)}`,
    '\u009B/x',
  ])('model %j', async (id) => {
    const hub = await startHub()
    const error = await downloadModel(id, hub.options).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
    expect((error as Error).message).not.toMatch(/\p{Cc}/u)
    expect(hub.requests).toEqual([])
  })

  test.each(['../main', 'a/../../b', '/main', 'a\\b', 'C:x', 'a\nb', ' ', '\uDC00'])(
    'revision %j',
    async (revision) => {
      const hub = await startHub()
      expect(await failure(hub, { revision })).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
      expect(hub.requests).toEqual([])
    },
  )
})

test('long names are accepted, and so are characters that only Windows rejects', async () => {
  const hub = await startHub()
  const id = `${'o'.repeat(40)}/${'n'.repeat(90)}`
  const name = 'notes/What is this: a test?.txt'
  hub.others[id] = { 'config.json': Buffer.from('{}'), [name]: Buffer.from('!') }
  const found = downloadModel(id, hub.options)
  if (process.platform === 'win32') await expect(found).rejects.toThrow(name)
  else expect(readFileSync(join(await found, name), 'utf8')).toBe('!')
})

test.each(['a./b.json', 'a /b.json', 'b.json ', 'a?.json', 'ab:c.json'])(
  'on Windows, %j is no name',
  (name) => {
    const { platform } = process
    expect(isSafe(name)).toBe(platform !== 'win32')
    Object.defineProperty(process, 'platform', { value: 'win32' })
    onTestFinished(() => void Object.defineProperty(process, 'platform', { value: platform }))
    expect(isSafe(name)).toBe(false)
    expect(isSafe('a.b/c d.json')).toBe(true)
  },
)

describe('row 52: the token', () => {
  test('goes to the Hub and to no other host', async () => {
    const hub = await startHub()
    await downloadModel(ID, { ...hub.options, token: TOKEN })
    const sent = (host: string): unknown[] =>
      hub.requests
        .filter((request) => request.host === host)
        .map((request) => request.authorization)
    expect(new Set(sent('hub'))).toEqual(new Set([`Bearer ${TOKEN}`]))
    expect(new Set(sent('storage'))).toEqual(new Set([undefined]))
  })

  test('appears in no error, nor do the signatures of URLs', async () => {
    const hub = await startHub()
    for (const status of [401, 403, 404, 400]) {
      hub.intercept = ({ authorization }, response) =>
        refuse(response, status, authorization, { 'X-Error-Message': authorization ?? '' })
      expect(inspect(await failure(hub, { token: TOKEN }), { depth: 9 })).not.toContain(TOKEN)
    }
    hub.intercept = ({ host }, response) => host === 'storage' && refuse(response, 500, '', NOW)
    expect(inspect(await failure(hub, { token: TOKEN }), { depth: 9 })).not.toMatch(
      /hf_Very|s3cret/u,
    )
    for (const token of [`${TOKEN}\nX: y`, `${TOKEN}é`]) {
      const error = await failure(hub, { token })
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
      expect(inspect(error)).not.toContain('hf_Very')
    }
  })

  test('is not sent if https redirects to http, nor is the model requested', async () => {
    const asked: string[] = []
    vi.stubGlobal('fetch', async (url: URL) => {
      asked.push(url.href)
      return new Response(null, { status: 302, headers: { Location: 'http://hub.example/x' } })
    })
    const hub = await startHub()
    const error = await failure(hub, { endpoint: 'https://hub.example', token: TOKEN })
    expect(error).toMatchObject({ code: 'ERR_DOWNLOAD_FAILED' })
    expect(asked).toHaveLength(1)
  })

  test('errors of a Hub behind a redirect are recognised', async () => {
    const hub = await startHub()
    hub.intercept = ({ host, path }, response) =>
      host === 'hub'
        ? refuse(response, 308, undefined, { Location: hub.storage + path })
        : refuse(response, 404, 'RepoNotFound')
    expect(await failure(hub)).toMatchObject({ code: 'ERR_HUB_NOT_FOUND' })
    expect(hub.requests).toHaveLength(2)
  })

  test('endless or invalid redirects are not followed', async () => {
    const hub = await startHub()
    for (const location of ['/again', 'file:///etc/passwd', 'http://', 'http://a:b@127.0.0.1/']) {
      hub.requests.length = 0
      hub.intercept = (_, response) => refuse(response, 302, undefined, { Location: location })
      expect(await failure(hub)).toMatchObject({ code: 'ERR_DOWNLOAD_FAILED' })
      expect(hub.requests).toHaveLength(location === '/again' ? 9 : 1)
    }
  })
})

function leavePartial(hub: Hub, data: Buffer): string {
  const folder = join(hub.options.cacheDir, FOLDER, 'blobs')
  const hash = sha256(hub.files['model.safetensors'] as Buffer)
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${hash}.node-mlx-01234567.incomplete`)
  writeFileSync(path, data)
  return path
}
