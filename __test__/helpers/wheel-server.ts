// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A package index with one wheel, as NVIDIA's are laid out.

import { createHash } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { cacheFolder, installFolder } from '../../lib/cuda/find'
import type { Wheel } from '../../lib/cuda/wheels'
import { until } from './patience'
import { PYTHON3, runProgram } from './run-program'

const MAKE_ZIP = `
import json, sys, zipfile
kinds = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    for index, (name, text) in enumerate(json.load(open(sys.argv[2])).items()):
        archive.writestr(name, text, kinds[index % 2])
`
export const WHEEL = 'fake_lib-1.whl'
/** Where downloads are interrupted. */
export const CUT = 10_000
export const LIBRARY = Array.from({ length: 20_000 }, (_, index) => String(index * index)).join(' ')
const FILES = {
  'nvidia/cu13/lib/libnvrtc.so.13': LIBRARY,
  'nvidia/cu13/lib/libnvrtc-builtins.so.13.2': 'stored',
  'nvidia/cu13/lib/libcudart_static.a': 'not needed',
  'nvidia/cu13/include/crt/mma.h': 'header',
  'nvidia/cu13/include/empty.h': '',
  'nvidia/cu13/include/../../../escaped.h': 'escaped',
  'fake-1.dist-info/licenses/License.txt': 'license',
  'fake-1.dist-info/METADATA': 'not needed',
}

interface Answers {
  /** Whether the server knows ranges. */
  ranges?: boolean
  /** Answers a request for the wheel instead, if it says so: the first, second … of them. */
  instead?: (response: ServerResponse, count: number, bytes: Buffer) => boolean
}

interface Index {
  wheel: Wheel
  /** All requests, as `path range authorization`. */
  requests: string[]
  wheelRequests: () => string[]
  host: string
  /** Another host that has the same. */
  other: string
}

/** Starts an index, until the test ends, and makes it the one to use. */
export async function startIndex({ ranges = true, instead }: Answers = {}): Promise<Index> {
  const path = join(cacheFolder(), '..', 'wheel.zip')
  writeFileSync(`${path}.json`, JSON.stringify(FILES))
  await runProgram(PYTHON3, ['-c', MAKE_ZIP, path, `${path}.json`])
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const wheel = { name: 'fake-lib', file: WHEEL, size: bytes.length, sha256 }
  const requests: string[] = []
  const wheelRequests = (): string[] => requests.filter((each) => each.startsWith('/files/'))
  const sendWheel = (response: ServerResponse, range: string | undefined): void => {
    const start = ranges ? Number(/^bytes=(\d+)-$/u.exec(range ?? '')?.[1] ?? 0) : 0
    response.writeHead(start > 0 ? 206 : 200, {
      'Content-Length': bytes.length - start,
      ...(start > 0 && { 'Content-Range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    })
    response.end(bytes.subarray(start))
  }
  const listener: RequestListener = ({ url = '', headers }, response) => {
    requests.push([url, headers.range, headers.authorization].filter(Boolean).join(' '))
    if (url.startsWith('/files/')) {
      if (!instead?.(response, wheelRequests().length, bytes)) sendWheel(response, headers.range)
    } else if (url === '/simple/fake-lib/')
      response.end(`<a href="http://[">invalid</a>
        <a href="../../files/fake_lib-0.whl#sha256=0">0</a>
        <a href="../../files/${WHEEL}?a=1&amp;b=2#sha256=${sha256}">1</a>`)
    else response.writeHead(404).end()
  }
  const [host, other] = [await listen(listener), await listen(listener)]
  vi.stubEnv('PIP_INDEX_URL', `http://${host}/simple`)
  return { wheel, requests, wheelRequests, host, other }
}

export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Sends the first bytes of a wheel; the connection then stalls. */
export function sendStart(response: ServerResponse, bytes: Buffer): void {
  response.writeHead(200, { 'Content-Length': bytes.length })
  response.write(bytes.subarray(0, CUT))
}

/** Waits until what {@link sendStart} has sent is on the disk. */
export async function whenPartial(file = WHEEL): Promise<void> {
  await until(() => sizeOfPartial(file) === CUT)
}

/** What a download that did not end has left. */
export function sizeOfPartial(file = WHEEL): number | undefined {
  const part = join(installFolder(), 'wheels', `${file}.incomplete`)
  return statSync(part, { throwIfNoEntry: false })?.size
}
