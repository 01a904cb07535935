// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// NVIDIA's libraries: how they are found and loaded, and how `node-mlx cuda install` downloads them, from a fake index.

import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { cacheFolder, findLibraries, installFolder } from '../lib/cuda/find'
import { installCuda } from '../lib/cuda/install'
import { root, scratch } from './helpers/models'
import { NODE, PYTHON3, runProgram } from './helpers/run-program'

const MAKE_ZIP = `
import json, sys, zipfile
kinds = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
with zipfile.ZipFile(sys.argv[1], 'w') as archive:
    for index, (name, text) in enumerate(json.load(open(sys.argv[2])).items()):
        archive.writestr(name, text, kinds[index % 2])
`
const LIBRARY = Array.from({ length: 20_000 }, (_, index) => String(index * index)).join(' ')
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

beforeEach(() => {
  const cache = mkdtempSync(join(scratch(), 'cuda-'))
  for (const [name, value] of [
    ['XDG_CACHE_HOME', cache],
    ['CUDA_HOME', ''],
    ['CUDA_PATH', ''],
    ['PIP_INDEX_URL', ''],
  ] as const)
    vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
})

/** A wheel, and a package index that has it. `cut` ends the first download there. */
async function serve({ cut, ranges = true }: { cut?: number; ranges?: boolean } = {}) {
  const path = join(cacheFolder(), '..', 'wheel.zip')
  writeFileSync(`${path}.json`, JSON.stringify(FILES))
  await runProgram(PYTHON3, ['-c', MAKE_ZIP, path, `${path}.json`])
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const wheel = { name: 'fake-lib', file: 'fake_lib-1.whl', size: bytes.length, sha256 }
  const requests: string[] = []
  const sendWheel = (response: ServerResponse, range: string | undefined): void => {
    const start = ranges ? Number(/^bytes=(\d+)-$/u.exec(range ?? '')?.[1] ?? 0) : 0
    response.writeHead(start > 0 ? 206 : 200, { 'Content-Length': bytes.length - start })
    const isFirst = requests.filter((each) => each.startsWith('/files/')).length === 1
    if (cut === undefined || !isFirst) response.end(bytes.subarray(start))
    else {
      response.write(bytes.subarray(0, cut))
      // What has not been written to the file when a connection breaks is lost.
      const part = join(installFolder(), 'wheels', `${wheel.file}.incomplete`)
      const written = () => statSync(part, { throwIfNoEntry: false })?.size === cut
      void vi.waitUntil(written).finally(() => response.destroy())
    }
  }
  const server = createServer(({ url = '', headers }, response) => {
    requests.push([url, headers.range, headers.authorization].filter(Boolean).join(' '))
    if (url.startsWith('/files/')) sendWheel(response, headers.range)
    else if (url === '/simple/fake-lib/')
      response.end(`<a href="../../files/fake_lib-0.whl#sha256=0">0</a>
        <a href="../../files/fake_lib-1.whl?a=1&amp;b=2#sha256=${sha256}">1</a>`)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  vi.stubEnv('PIP_INDEX_URL', `http://${host}/simple`)
  return { wheel, requests, host, bytes }
}

function placed(): string[] {
  return readdirSync(installFolder(), { recursive: true, encoding: 'utf8' }).toSorted()
}

test('installs libraries, headers and licenses, once', async () => {
  const { wheel, requests } = await serve()
  const progress: [number, number][] = []
  const folder = await installCuda({
    wheels: [wheel],
    onProgress: (loaded, total) => void progress.push([loaded, total]),
  })
  expect(folder).toBe(installFolder())
  expect(placed()).toEqual([
    'LICENSE-fake-lib.txt',
    'include',
    'include/crt',
    'include/crt/mma.h',
    'include/empty.h',
    'lib',
    'lib/libnvrtc-builtins.so.13.2',
    'lib/libnvrtc.so.13',
    'wheels',
    'wheels/fake_lib-1.whl',
  ])
  expect(readFileSync(join(folder, 'lib/libnvrtc.so.13'), 'utf8')).toBe(LIBRARY)
  expect(readFileSync(join(folder, 'lib/libnvrtc-builtins.so.13.2'), 'utf8')).toBe('stored')
  expect(existsSync(join(folder, '../escaped.h'))).toBe(false)
  expect(progress.at(-1)).toEqual([wheel.size, wheel.size])
  expect(findLibraries().get('libnvrtc.so.13')).toBe(join(folder, 'lib/libnvrtc.so.13'))
  expect(requests).toEqual(['/simple/fake-lib/', '/files/fake_lib-1.whl?a=1&b=2'])
  await installCuda({ wheels: [wheel] })
  expect(requests).toHaveLength(2)
})

test.each([true, false])('goes on where a download ended (ranges: %s)', async (ranges) => {
  const cut = 10_000
  const { wheel, requests } = await serve({ cut, ranges })
  await installCuda({ wheels: [wheel] })
  expect(requests.filter((each) => each.startsWith('/files/'))).toEqual([
    '/files/fake_lib-1.whl?a=1&b=2',
    `/files/fake_lib-1.whl?a=1&b=2 bytes=${cut}-`,
  ])
  expect(readFileSync(join(installFolder(), 'lib/libnvrtc.so.13'), 'utf8')).toBe(LIBRARY)
})

test('rejects a file with another hash, and forgets it', async () => {
  const { wheel } = await serve()
  const installing = installCuda({ wheels: [{ ...wheel, sha256: '0'.repeat(64) }] })
  await expect(installing).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_CORRUPT',
    details: { file: wheel.file },
  })
  expect(placed()).toEqual(['wheels'])
})

test('says what the index does not have', async () => {
  const { wheel, host } = await serve()
  await expect(
    installCuda({ wheels: [{ ...wheel, file: 'fake_lib-2.whl' }] }),
  ).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    message: 'the package index does not have fake_lib-2.whl',
  })
  await expect(installCuda({ wheels: [{ ...wheel, name: 'other' }] })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    details: { host, status: 404 },
  })
})

test('sends the name and password of the index as a header', async () => {
  const { wheel, requests, host } = await serve()
  vi.stubEnv('PIP_INDEX_URL', `http://me:p%40ss@${host}/simple/`)
  await installCuda({ wheels: [wheel] })
  const secret = Buffer.from('me:p@ss').toString('base64')
  expect(requests[0]).toBe(`/simple/fake-lib/ Basic ${secret}`)
})

test('finds what pip has installed, but CUDA_HOME first', () => {
  const prefix = mkdtempSync(join(scratch(), 'venv-'))
  const wheels = join(prefix, 'lib/python3.12/site-packages/nvidia')
  const toolkit = join(prefix, 'cuda')
  for (const path of ['cu13/lib/libnvrtc.so.13', 'cudnn/lib/libcudnn.so.9']) touch(wheels, path)
  touch(toolkit, 'lib64/libnvrtc.so.13')
  vi.stubEnv('VIRTUAL_ENV', prefix)
  expect(findLibraries().get('libnvrtc.so.13')).toBe(join(wheels, 'cu13/lib/libnvrtc.so.13'))
  vi.stubEnv('CUDA_HOME', toolkit)
  expect(findLibraries().get('libnvrtc.so.13')).toBe(join(toolkit, 'lib64/libnvrtc.so.13'))
  expect(findLibraries().get('libcudnn.so.9')).toBe(join(wheels, 'cudnn/lib/libcudnn.so.9'))
})

test.runIf(process.platform === 'linux')('a library that was loaded stays', async () => {
  const program = `
    const { copyFileSync, mkdirSync, readFileSync } = require('node:fs')
    const { installFolder, loadLibraries } = require('./dist/cuda/find.js')
    const some = process.report.getReport().sharedObjects.find((path) => /libm\\.so|libm-/.test(path))
    mkdirSync(installFolder() + '/lib', { recursive: true })
    copyFileSync(some, installFolder() + '/lib/libnvrtc.so.13')
    loadLibraries()
    console.log(readFileSync('/proc/self/maps', 'utf8').includes(installFolder() + '/lib/libnvrtc.so.13'))
  `
  const { stdout } = await runProgram(NODE, ['-e', program], { cwd: root })
  expect(stdout).toBe('true\n')
})

test.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'the command line says what is found, and why the GPU is not used',
  async () => {
    touch(installFolder(), 'lib/libcudnn.so.9')
    const cli = join(root, 'dist/cli/bin.js')
    const { stdout } = await runProgram(NODE, [cli, 'cuda'])
    expect(stdout).toContain(`libcudnn.so.9      ${installFolder()}/lib/libcudnn.so.9\n`)
    expect(stdout).toMatch(/^libcufft\.so\.12 +(?:\/|not needed)/mu)
    expect(stdout).toContain(
      'node-mlx-linux-x64-cuda is not in use: it is not installed (npm install node-mlx-linux-x64-cuda)\n',
    )
    const { stderr } = await runProgram(NODE, [cli, 'cuda', 'remove'], { status: 1 })
    expect(stderr).toBe("node-mlx: expected 'cuda' or 'cuda install'\n")
  },
)

function touch(folder: string, path: string): void {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), '')
}
