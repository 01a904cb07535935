// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Processes that are killed, that get in each other's way, and the command line.

import { spawn, type ChildProcess } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadModel } from 'node-mlx'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FOLDER } from '../helpers/hub-download'
import { COMMIT, folderFiles, ID, refuse, sha256, startHub, type Hub } from '../helpers/hub-server'
import { fixture, root } from '../helpers/models'
import { until } from '../helpers/patience'

const CLI = join(root, 'dist/cli/bin.js')
const LARGE = 'model.safetensors'
const KILLS = 20

interface Run {
  child: ChildProcess
  done: Promise<{ status: number | null; stdout: string; stderr: string }>
}

describe('row 54: kill -9', () => {
  test('at any point: the next attempt downloads the correct file', async () => {
    const points = Array.from({ length: KILLS }, (_, point) => (point + 0.5) / KILLS)
    const lane = async (): Promise<void> => {
      const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 19) })
      hub.burst = 2 ** 14
      const { asked, done } = await pullAndWait(hub)
      await done
      const duration = performance.now() - asked
      for (let point = points.pop(); point !== undefined; point = points.pop()) {
        await killAt(hub, point * duration)
        if (existsSync(blob(hub))) expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
        const folder = await downloadModel(ID, hub.options)
        expect(hashOf(join(folder, LARGE))).toBe(hashOfLarge(hub))
        expect(partials(hub)).toEqual([])
      }
    }
    await Promise.all([lane(), lane()])
  })

  test('after some bytes: the next attempt resumes after them', async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
    hub.burst = 2 ** 13
    const { child, done } = pull(hub)
    await until(() => bytesOfPartial(hub) > 0)
    child.kill('SIGKILL')
    await done
    const before = storageRequests(hub).length
    hub.burst = Infinity
    expect((await pull(hub).done).status).toBe(0)
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
    const [resumed, ...more] = storageRequests(hub).slice(before)
    expect(Number(resumed?.range?.replaceAll(/\D/gu, ''))).toBeGreaterThan(0)
    expect(more).toEqual([])
    expect(partials(hub)).toEqual([])
  })
})

describe('kill -9 between files', () => {
  test('leaves no revision, and only the rest is downloaded again', async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 10) })
    const model = join(hub.options.cacheDir, FOLDER)
    hub.intercept = ({ path }) => path.endsWith('/config.json')
    const { child, done } = pull(hub)
    await until(() => existsSync(join(model, 'snapshots', COMMIT, LARGE)))
    child.kill('SIGKILL')
    await done
    expect(existsSync(join(model, 'refs'))).toBe(false)
    hub.intercept = undefined
    hub.requests.length = 0
    await expect(downloadModel(ID, { ...hub.options, offline: true })).rejects.toThrow(ID)
    await downloadModel(ID, hub.options)
    expect(hub.fileRequests()).toEqual([`hub /${ID}/resolve/${COMMIT}/config.json`])
  })
})

describe('row 55: two processes', () => {
  test('download the bytes once', async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
    hub.burst = 2 ** 14
    const runs = await Promise.all([pull(hub).done, pull(hub).done, pull(hub).done])
    expect(runs.map(({ status }) => status)).toEqual([0, 0, 0])
    expect(new Set(runs.map(({ stdout }) => stdout)).size).toBe(1)
    expect(storageRequests(hub)).toHaveLength(1)
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
    expect(partials(hub)).toEqual([])
  })

  test("row 53: do not corrupt each other's files if locks do not work", async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
    hub.burst = 2 ** 14
    const locks = join(hub.options.cacheDir, '.locks', FOLDER)
    const timer = setInterval(() => {
      if (!existsSync(locks)) return
      for (const name of readdirSync(locks)) rmSync(join(locks, name), { force: true })
    }, 2)
    onTestFinished(() => clearInterval(timer))
    const runs = await Promise.all([pull(hub).done, pull(hub).done])
    expect(runs).toMatchObject([
      { status: 0, stderr: '' },
      { status: 0, stderr: '' },
    ])
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
  })

  test("do not corrupt each other's files without locks: no addon, no folder for locks", async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
    hub.burst = 2 ** 14
    writeFileSync(join(hub.options.cacheDir, '.locks'), '')
    const noAddon = { NAPI_RS_NATIVE_LIBRARY_PATH: '/no/such/addon' }
    const runs = [
      start(process.execPath, [CLI, 'pull', ID], hub, noAddon),
      start(process.execPath, [CLI, 'pull', ID], hub, noAddon),
      pull(hub),
    ]
    expect(await Promise.all(runs.map(({ done }) => done))).toMatchObject(
      runs.map(() => ({ status: 0, stderr: '' })),
    )
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
    expect(partials(hub)).toEqual([])
  })

  test('a lock is released when its process ends', async () => {
    const hub = await startHub()
    const { child, done } = pull(hub)
    hub.intercept = ({ host }) => host === 'storage'
    await until(() => storageRequests(hub).length > 0)
    const second = pull(hub)
    await sleep(300)
    expect(storageRequests(hub)).toHaveLength(1)
    hub.intercept = undefined
    child.kill('SIGKILL')
    await done
    expect((await second.done).status).toBe(0)
    expect(storageRequests(hub)).toHaveLength(2)
    expect(partials(hub)).toEqual([])
  })
})

test.skipIf(process.platform === 'win32')('row 53: a full disk', async () => {
  const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
  // A limit on the size of files stops a write as a full disk does.
  const limited = start(
    '/bin/sh',
    ['-c', `ulimit -f 512; exec "${process.execPath}" "${CLI}" pull ${ID}`],
    hub,
  )
  const { status, stderr } = await limited.done
  expect(status).toBe(1)
  expect(stderr).toContain('EFBIG')
  expect(existsSync(blob(hub))).toBe(false)
  expect((await pull(hub).done).status).toBe(0)
  expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
})

describe('the command line', () => {
  test('pull, ls and rm', async () => {
    const hub = await startHub()
    const folder = join(hub.options.cacheDir, FOLDER)
    const pulled = await pull(hub, '--revision', 'v1').done
    expect(pulled).toEqual({
      status: 0,
      stdout: `${join(folder, 'snapshots', COMMIT)}\n`,
      stderr: '',
    })
    writeFileSync(join(hub.options.cacheDir, 'version.txt'), '1')
    mkdirSync(join(hub.options.cacheDir, 'models--x\u001B--y'))
    writeFileSync(join(folder, 'blobs/x.incomplete'), Buffer.alloc(2000))
    const { stdout } = await cli(hub, 'ls').done
    expect(stdout).toMatch(/^owner\/tiny-model +[\d.]+ kB +v1, \(2\.0 kB unfinished\)\n$/u)
    expect(await cli(hub, 'rm', ID).done).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^\d.* freed\n$/u) as string,
      stderr: '',
    })
    expect(existsSync(folder)).toBe(false)
    expect(await cli(hub, 'ls').done).toEqual({
      status: 0,
      stdout: '',
      stderr: `no models in ${hub.options.cacheDir}\n`,
    })
  })

  test('the same as JSON, and an adapter', async () => {
    const hub = await startHub()
    hub.others['a/b'] = folderFiles(fixture('llama-4bit-lora/adapters'))
    const { cacheDir } = hub.options
    const json = async (...args: string[]): Promise<unknown> =>
      JSON.parse((await cli(hub, '--json', ...args).done).stdout) as unknown
    expect(await json('ls')).toEqual([])
    expect(await json('pull', '--adapter-path', 'a/b', '--revision', COMMIT, ID)).toEqual({
      id: ID,
      path: join(cacheDir, FOLDER, 'snapshots', COMMIT),
      adapterPath: join(cacheDir, 'models--a--b/snapshots', COMMIT),
    })
    const size = (files: Hub['files'] = {}): number =>
      Object.values(files).reduce((total, { length }) => total + length, 0)
    expect(await json('ls')).toEqual([
      {
        id: 'a/b',
        path: join(cacheDir, 'models--a--b'),
        size: size(hub.others['a/b']),
        unfinished: 0,
        revisions: { main: COMMIT },
      },
      {
        id: ID,
        path: join(cacheDir, FOLDER),
        size: size(hub.files),
        unfinished: 0,
        revisions: { [COMMIT]: COMMIT },
      },
    ])
    expect((await cli(hub, 'ls').done).stdout).toMatch(
      /^a\/b {12} +[\d.]+ kB +main\n.* c0ffee00\n$/u,
    )
    expect(await json('rm', 'a/b')).toEqual({ id: 'a/b', freed: size(hub.others['a/b']) })
    expect((await cli(hub, 'pull', '--adapter-path', 'a/b', ID).done).stdout.split('\n')).toEqual([
      join(cacheDir, FOLDER, 'snapshots', COMMIT),
      join(cacheDir, 'models--a--b/snapshots', COMMIT),
      '',
    ])
  })

  test('errors are printed as one line', async () => {
    const hub = await startHub()
    const wrong = [
      ['rm', ID],
      ['rm', '../x'],
      ['rm', '\u009B2J/x'],
      ['rm'],
      ['pull'],
      ['pull', 'a/b', 'c/d'],
      ['ls', 'x'],
    ]
    for (const { status, stderr } of await Promise.all(
      wrong.map((args) => cli(hub, ...args).done),
    )) {
      expect(status).toBe(1)
      expect(stderr).toMatch(/^node-mlx: \P{Cc}+\n$/u)
    }
    hub.intercept = (_, response) => refuse(response, 401)
    expect(await pull(hub).done).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^node-mlx: owner\/tiny-model: .*needs a token.*\n$/u,
      ) as string,
    })
  })
})

/** Starts a download, and gives the time of its first request. */
async function pullAndWait(hub: Hub): Promise<Run & { asked: number }> {
  const run = pull(hub)
  const before = hub.requests.length
  await until(() => hub.requests.length > before)
  return { ...run, asked: performance.now() }
}

/** Kills a download so many milliseconds after its first request, or sooner if it is quicker. */
async function killAt(hub: Hub, latest: number): Promise<void> {
  for (let ms = latest; ; ms *= 0.8) {
    rmSync(hub.options.cacheDir, { recursive: true })
    const { child, done } = await pullAndWait(hub)
    await sleep(ms)
    child.kill('SIGKILL')
    await done
    if (child.signalCode === 'SIGKILL') return
  }
}

function pull(hub: Hub, ...args: string[]): Run {
  return cli(hub, 'pull', ID, ...args)
}

function cli(hub: Hub, ...args: string[]): Run {
  return start(process.execPath, [CLI, ...args], hub)
}

function start(command: string, args: string[], hub: Hub, extra: Record<string, string> = {}): Run {
  const { HOME, PATH, LD_LIBRARY_PATH } = process.env
  const { cacheDir, endpoint } = hub.options
  const hubEnv = { HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint, HF_TOKEN_PATH: cacheDir }
  const env = { HOME, PATH, LD_LIBRARY_PATH, ...hubEnv, ...extra }
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  const done = new Promise<Awaited<Run['done']>>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, ...output }))
  })
  return { child, done }
}

function blob(hub: Hub): string {
  return join(hub.options.cacheDir, FOLDER, 'blobs', hashOfLarge(hub))
}

function bytesOfPartial(hub: Hub): number {
  const folder = join(hub.options.cacheDir, FOLDER, 'blobs')
  const names = existsSync(folder) ? readdirSync(folder) : []
  const name = names.find((found) => found.startsWith(`${hashOfLarge(hub)}.`))
  return name === undefined ? 0 : statSync(join(folder, name)).size
}

/** What only unfinished downloads have. */
function partials(hub: Hub): string[] {
  const names = readdirSync(hub.options.cacheDir, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.incomplete'))
}

function storageRequests(hub: Hub): Hub['requests'] {
  return hub.requests.filter(({ host }) => host === 'storage')
}

function hashOfLarge(hub: Hub): string {
  return sha256(hub.files[LARGE] as Buffer)
}

function hashOf(path: string): string {
  return sha256(readFileSync(path))
}

function numbers(length: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: length / 4 }, (_, index) => index).buffer)
}
