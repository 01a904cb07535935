// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// NVIDIA's libraries: how they are found and loaded, and how `node-mlx cuda install` downloads them, from a fake index.

import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { cacheFolder, findLibraries, installFolder } from '../lib/cuda/find'
import { installCuda } from '../lib/cuda/install'
import { WHEELS } from '../lib/cuda/wheels'
import { root, scratch } from './helpers/models'
import { NODE, runProgram } from './helpers/run-program'
import {
  CUT,
  LIBRARY,
  listen,
  sendStart,
  sizeOfPartial,
  startIndex,
  WHEEL,
  whenPartial,
} from './helpers/wheel-server'

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

function placed(): string[] {
  return readdirSync(installFolder(), { recursive: true, encoding: 'utf8' }).toSorted()
}

test('installs libraries, headers and licenses, once', async () => {
  const { wheel, requests } = await startIndex()
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

test.each([true, false])('goes on where a connection broke (ranges: %s)', async (ranges) => {
  const { wheel, wheelRequests } = await startIndex({
    ranges,
    instead(response, count, bytes) {
      if (count > 1) return false
      sendStart(response, bytes)
      void whenPartial().finally(() => response.destroy())
      return true
    },
  })
  await installCuda({ wheels: [wheel] })
  expect(wheelRequests()).toEqual([
    `/files/${WHEEL}?a=1&b=2`,
    `/files/${WHEEL}?a=1&b=2 bytes=${CUT}-`,
  ])
  expect(readFileSync(join(installFolder(), 'lib/libnvrtc.so.13'), 'utf8')).toBe(LIBRARY)
})

test('gives up on a server that stalls; the next call goes on where it stopped', async () => {
  let stalls = true
  const { wheel, wheelRequests, host } = await startIndex({
    instead(response, count, bytes) {
      if (count === 1) sendStart(response, bytes)
      else if (stalls) {
        const range = `bytes ${CUT}-${bytes.length - 1}/${bytes.length}`
        response.writeHead(206, { 'Content-Range': range }).flushHeaders()
      }
      return stalls
    },
  })
  const limits = { idleTimeoutMs: 1000, retries: 1 }
  await expect(installCuda({ wheels: [wheel], limits })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    message: `${WHEEL}: the connection to ${host} failed: no response for 1 s`,
    details: { file: WHEEL, host },
  })
  expect(wheelRequests()).toHaveLength(2)
  expect(sizeOfPartial()).toBe(CUT)
  stalls = false
  await installCuda({ wheels: [wheel] })
  expect(wheelRequests().slice(2)).toEqual([`/files/${WHEEL}?a=1&b=2 bytes=${CUT}-`])
  expect(readFileSync(join(installFolder(), 'lib/libnvrtc.so.13'), 'utf8')).toBe(LIBRARY)
})

test('tries again when the server says so, unless that is too late', async () => {
  let refusal = { status: 503, after: '1' }
  const { wheel, wheelRequests, host } = await startIndex({
    instead(response, count) {
      if (count === 2) return false
      response.writeHead(refusal.status, { 'Retry-After': refusal.after }).end()
      return true
    },
  })
  const start = performance.now()
  await installCuda({ wheels: [wheel] })
  expect(performance.now() - start).toBeGreaterThan(990)
  expect(wheelRequests()).toHaveLength(2)
  rmSync(installFolder(), { recursive: true })
  refusal = { status: 429, after: '3600' }
  await expect(installCuda({ wheels: [wheel] })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    details: { host, status: 429, retryAfter: 3600 },
  })
  expect(wheelRequests()).toHaveLength(3)
})

test('fetches a corrupt file again, once', async () => {
  let isCorrupt = (count: number): boolean => count === 1
  const { wheel, wheelRequests } = await startIndex({
    instead(response, count, bytes) {
      if (isCorrupt(count)) response.end(Buffer.alloc(bytes.length))
      return isCorrupt(count)
    },
  })
  await installCuda({ wheels: [wheel] })
  expect(wheelRequests()).toHaveLength(2)
  rmSync(installFolder(), { recursive: true })
  isCorrupt = () => true
  await expect(installCuda({ wheels: [wheel] })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_CORRUPT',
    details: { file: WHEEL },
  })
  expect(wheelRequests()).toHaveLength(4)
  expect(placed()).toEqual(['wheels'])
})

test('follows redirects that are safe, without the secret', async () => {
  let location = ''
  const { wheel, wheelRequests, host, other } = await startIndex({
    instead(response, count) {
      if (count !== 1 && location.startsWith('http:')) return false
      response.writeHead(302, { Location: location }).end()
      return true
    },
  })
  vi.stubEnv('PIP_INDEX_URL', `http://me:secret@${host}/simple`)
  location = `http://${other}/files/elsewhere`
  await installCuda({ wheels: [wheel] })
  expect(wheelRequests()).toEqual([
    expect.stringMatching(/ Basic \w+=*$/u) as string,
    '/files/elsewhere',
  ])
  rmSync(installFolder(), { recursive: true })
  location = 'file:///etc/passwd'
  await expect(installCuda({ wheels: [wheel] })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    message: `${WHEEL}: ${host} redirects to file://, which is not safe to follow`,
  })
  expect(wheelRequests()).toHaveLength(3)
})

test('names a folder that cannot be written to, and an index that is no address', async () => {
  const { wheel } = await startIndex()
  writeFileSync(cacheFolder(), '')
  await expect(installCuda({ wheels: [wheel] })).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_FAILED',
    details: { folder: installFolder() },
  })
  rmSync(cacheFolder())
  vi.stubEnv('PIP_INDEX_URL', 'pypi.org')
  await expect(installCuda({ wheels: [wheel] })).rejects.toMatchObject({
    code: 'ERR_INVALID_ARG_VALUE',
    details: { name: 'PIP_INDEX_URL' },
  })
})

test.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'Ctrl+C leaves what the next call goes on with',
  async () => {
    const [{ name, file, size }] = WHEELS as [(typeof WHEELS)[number]]
    const requests: string[] = []
    const host = await listen(({ url = '', headers }, response) => {
      requests.push([url, headers.range].filter(Boolean).join(' '))
      if (url === `/${name}/`) response.end(`<a href="/${file}">1</a>`)
      else if (headers.range === undefined) sendStart(response, Buffer.alloc(size))
      else response.writeHead(404).end()
    })
    const env = { ...process.env, PIP_INDEX_URL: `http://${host}` }
    const args = [join(root, 'dist/cli/bin.js'), 'cuda', 'install']
    const child = spawn(process.execPath, args, { env, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.on('exit', (_, signal) => resolve(signal)))
    await whenPartial(file)
    child.kill('SIGINT')
    expect(await ended).toBe('SIGINT')
    await runProgram(NODE, args, { status: 1, env: { PIP_INDEX_URL: `http://${host}` } })
    expect(requests).toEqual([`/${name}/`, `/${file}`, `/${name}/`, `/${file} bytes=${CUT}-`])
  },
)

test('says what the index does not have', async () => {
  const { wheel, host } = await startIndex()
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
  const { wheel, requests, host } = await startIndex()
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
