// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { downloadModel } from 'node-mlx'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { blobs, failure, FOLDER, random, snapshot } from '../helpers/hub-download'
import { blobName, COMMIT, ID, refuse, sha256, startHub, type Hub } from '../helpers/hub-server'

const NOW = { 'Retry-After': '0' }
const TOKEN = 'hf_VerySecretToken'

afterEach(() => {
  vi.unstubAllGlobals()
})

describe('damaged files never get into the cache', () => {
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

  test('a list that is no list', async () => {
    const hub = await startHub()
    for (const info of [null, 7, [], {}, { sha: COMMIT.slice(1) }, { sha: '../../x' }]) {
      hub.edit = () => info
      expect(await failure(hub)).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
    }
    hub.edit = () => ({ sha: COMMIT, siblings: [null, 1, { rfilename: 2 }] })
    expect(await failure(hub)).toMatchObject({ code: 'ERR_MODEL_FILE_MISSING' })
  })
})

describe('names that would leave the cache are refused', () => {
  test.each([
    '../x/y.json',
    '/etc/x.json',
    'a/../../x.json',
    'a\\b.json',
    'C:x.json',
    'a//b.json',
    './x.json',
  ])('file %s', async (name) => {
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

  test.each(['../x', 'x/..', 'owner/na me', 'owner/a--b', 'o\\w/x', 'own:er/x', 'a/.b', 'x'])(
    'model %s',
    async (id) => {
      const hub = await startHub()
      const error = await downloadModel(id, hub.options).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
      expect(hub.requests).toEqual([])
    },
  )

  test.each(['../main', 'a/../../b', '/main', 'a\\b', 'C:x', 'a\nb', ' '])(
    'revision %j',
    async (revision) => {
      const hub = await startHub()
      expect(await failure(hub, { revision })).toMatchObject({ code: 'ERR_UNSAFE_PATH' })
      expect(hub.requests).toEqual([])
    },
  )
})

describe('the token', () => {
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

  test('is in no error, nor are the signatures of addresses', async () => {
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

  test('and the model are not asked for where https leads to http', async () => {
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

  test('redirects without end, or to no host, are not followed', async () => {
    const hub = await startHub()
    for (const location of ['/again', 'file:///etc/passwd', 'http://', 'http://a:b@127.0.0.1/']) {
      hub.requests.length = 0
      hub.intercept = (_, response) => refuse(response, 302, undefined, { Location: location })
      expect(await failure(hub)).toMatchObject({ code: 'ERR_DOWNLOAD_FAILED' })
      expect(hub.requests).toHaveLength(location === '/again' ? 9 : 1)
    }
  })
})

function leavePartial(hub: Hub, data: Buffer): void {
  const folder = join(hub.options.cacheDir, FOLDER, 'blobs')
  const hash = sha256(hub.files['model.safetensors'] as Buffer)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${hash}.node-mlx-01234567.incomplete`), data)
}
