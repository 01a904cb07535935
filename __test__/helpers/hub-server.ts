// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A server that speaks the Hugging Face Hub's protocol, with a second host that large files are redirected to.

import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { scratch } from './models'

export const COMMIT = 'c0ffee'.padEnd(40, '0')
export const ID = 'owner/tiny-model'

/** A request that a server got. */
export interface Request {
  host: 'hub' | 'storage'
  method: string
  path: string
  authorization: string | undefined
  range: string | undefined
}

/** Answers instead of the server, if it says so. */
type Intercept = (
  request: Request,
  response: ServerResponse,
  incoming: IncomingMessage,
) => boolean | Promise<boolean>

export interface Hub {
  endpoint: string
  storage: string
  requests: Request[]
  files: Record<string, Buffer>
  /** Other repositories, by id. */
  others: Record<string, Record<string, Buffer>>
  commit: string
  intercept: Intercept | undefined
  /** Changes what the Hub tells about a revision. */
  edit: (info: Info) => unknown
  /** Bytes that the storage host sends before it takes a breath of 2 ms. */
  burst: number
  /** Where to download from and to: a cache of its own. */
  options: { endpoint: string; cacheDir: string }
  close(): Promise<void>
  /** Requests for files, as `host path range`. */
  fileRequests(): string[]
}

export interface Info {
  id: string
  sha: string
  siblings: {
    rfilename: string
    size?: number
    blobId?: string
    lfs?: { sha256: string; size: number; pointerSize: number }
  }[]
}

/** Starts a Hub with one model, until the test ends. */
export async function startHub(files: Hub['files'] = folderFiles()): Promise<Hub> {
  const servers = [createServer(), createServer()] as const
  const [endpoint, storage] = await Promise.all(servers.map(listen))
  const hub: Hub = {
    endpoint: endpoint as string,
    storage: storage as string,
    requests: [],
    files,
    others: {},
    commit: COMMIT,
    intercept: undefined,
    edit: (info) => info,
    burst: Infinity,
    options: { endpoint: endpoint as string, cacheDir: newCache() },
    async close() {
      await Promise.all(
        servers.map((server) => {
          server.closeAllConnections()
          return new Promise((resolve) => server.close(resolve))
        }),
      )
    },
    fileRequests: () =>
      hub.requests
        .filter(({ path }) => !path.startsWith('/api/'))
        .map(({ host, path, range }) => `${host} ${path} ${range ?? ''}`.trimEnd()),
  }
  onTestFinished(() => hub.close())
  for (const [index, host] of (['hub', 'storage'] as const).entries()) {
    servers[index]?.on('request', async (incoming: IncomingMessage, response: ServerResponse) => {
      const request: Request = {
        host,
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        authorization: incoming.headers.authorization,
        range: incoming.headers.range,
      }
      hub.requests.push(request)
      response.on('error', () => {})
      if (await hub.intercept?.(request, response, incoming)) return
      if (host === 'hub') answerHub(hub, request, response)
      else await sendFile(hub, request, response)
    })
  }
  return hub
}

/** The files of a model folder, the llama fixture's by default. */
export function folderFiles(folder = join(import.meta.dirname, '../fixtures/llama')): Hub['files'] {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath }) => relative(folder, join(parentPath, name)).replaceAll('\\', '/'))
      .filter((name) => !/^(?:golden|adapters\/)/u.test(name))
      .map((name) => [name, readFileSync(join(folder, name))]),
  )
}

export function newCache(): string {
  return mkdtempSync(join(scratch(), 'cache-'))
}

export function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

export function gitHash(data: Buffer): string {
  return createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex')
}

export function isLarge(name: string): boolean {
  return name.endsWith('.safetensors')
}

export function blobName(name: string, data: Buffer): string {
  return isLarge(name) ? sha256(data) : gitHash(data)
}

function answerHub(hub: Hub, request: Request, response: ServerResponse): void {
  const path = request.path.replace(/\?.*$/u, '')
  if (path.startsWith(`/api/models/${ID}/tree/${hub.commit}`)) {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(describe(hub)?.siblings.map(toTreeEntry)))
    return
  }
  if (path.startsWith('/api/')) {
    const [, id, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/u.exec(path) ?? []
    const revisions = ['main', 'v1', 'refs%2Fpr%2F1', hub.commit]
    const info = describe(hub, id)
    if (info === undefined) refuse(response, 404, 'RepoNotFound')
    else if (revisions.includes(revision ?? '')) {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify(hub.edit(info)))
    } else refuse(response, 404, 'RevisionNotFound')
    return
  }
  const [, id, commit, file] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/u.exec(path) ?? []
  const name = decodeURIComponent(file ?? '')
  const data = commit === hub.commit ? filesOf(hub, id)?.[name] : undefined
  if (data === undefined) {
    refuse(response, 404, 'EntryNotFound')
    return
  }
  response.setHeader('X-Repo-Commit', hub.commit)
  if (isLarge(name)) {
    response.writeHead(302, {
      Location: `${hub.storage}/${encodeURIComponent(name)}?signature=s3cret&hash=${sha256(data)}`,
      'X-Linked-Etag': `"${sha256(data)}"`,
      'X-Linked-Size': data.length,
    })
    response.end()
    return
  }
  response.setHeader('ETag', `W/"${gitHash(data)}"`)
  sendRange(data, request, response)
  response.end(request.method === 'HEAD' ? undefined : rangeOf(data, request))
}

async function sendFile(hub: Hub, request: Request, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.path, hub.storage)
  const name = decodeURIComponent(pathname.slice(1))
  const data = [hub.files, ...Object.values(hub.others)]
    .flatMap((files) => files[name] ?? [])
    .find((file) => sha256(file) === searchParams.get('hash'))
  if (data === undefined) {
    refuse(response, 404, 'NoSuchKey')
    return
  }
  sendRange(data, request, response)
  const part = rangeOf(data, request)
  for (let at = 0; at < part.length && !response.destroyed;) {
    const end = Math.min(at + hub.burst, part.length)
    response.write(part.subarray(at, end))
    at = end
    if (at < part.length) await sleep(2)
  }
  response.end()
}

function sendRange(data: Buffer, request: Request, response: ServerResponse): void {
  const start = startOf(request)
  const isPart = request.range !== undefined
  response.writeHead(isPart ? 206 : 200, {
    'Content-Length': data.length - start,
    ...(isPart && { 'Content-Range': `bytes ${start}-${data.length - 1}/${data.length}` }),
  })
}

function rangeOf(data: Buffer, request: Request): Buffer {
  return data.subarray(startOf(request))
}

function startOf({ range }: Request): number {
  return Number(/^bytes=(\d+)-$/u.exec(range ?? '')?.[1] ?? 0)
}

function filesOf({ files, others }: Hub, id: string | undefined): Hub['files'] | undefined {
  return id === ID ? files : others[id ?? '']
}

/** What the Hub tells about a model. */
function describe(hub: Hub, id = ID): Info | undefined {
  const files = filesOf(hub, id)
  return files && { id, sha: hub.commit, siblings: Object.entries(files).map(toSibling) }
}

function toSibling([rfilename, data]: [string, Buffer]): Info['siblings'][number] {
  const size = data.length
  if (!isLarge(rfilename)) return { rfilename, size, blobId: gitHash(data) }
  const lfs = { sha256: sha256(data), size, pointerSize: 7 }
  return { rfilename, size, blobId: gitHash(Buffer.from('pointer')), lfs }
}

/** The same, as the list that huggingface_hub asks for. */
function toTreeEntry({ rfilename, size, blobId, lfs }: Info['siblings'][number]): object {
  return {
    type: 'file',
    path: rfilename,
    size,
    oid: blobId,
    ...(lfs && { lfs: { ...lfs, oid: lfs.sha256 } }),
  }
}

/** Answers with an error of the Hub's. */
export function refuse(
  response: ServerResponse,
  status: number,
  code?: string,
  headers: Record<string, string> = {},
): true {
  response.writeHead(status, { ...(code !== undefined && { 'X-Error-Code': code }), ...headers })
  response.end('{"error":"no"}')
  return true
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
