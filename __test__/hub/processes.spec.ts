// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Processes that are killed, that get in each other's way, and the command line.

import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { COMMIT, ID, refuse, sha256, startHub, type Hub } from '../helpers/hub-server'
import { root } from '../helpers/models'

const CLI = join(root, 'dist/cli/bin.js')
const FOLDER = 'models--owner--tiny-model'
const LARGE = 'model.safetensors'
const KILLS = 20

interface Run {
  child: ChildProcess
  done: Promise<{ status: number | null; stdout: string; stderr: string }>
}

describe('kill -9', () => {
  test('at any point, and the next attempt goes on', async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(3 * 2 ** 20) })
    hub.burst = 2 ** 15
    for (let kill = 0; kill < KILLS; kill += 1) {
      const { child, done } = pull(hub)
      const asked = hub.requests.length
      const isAsked = vi.waitUntil(() => hub.requests.length > asked, {
        interval: 1,
        timeout: 20_000,
      })
      await Promise.race([isAsked, done])
      await sleep(Math.random() * 80)
      child.kill('SIGKILL')
      expect((await done).stderr).toBe('')
      if (existsSync(blob(hub))) {
        expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
        rmSync(hub.options.cacheDir, { recursive: true })
      }
    }
    rmSync(hub.options.cacheDir, { recursive: true, force: true })
    const { child, done } = pull(hub)
    await vi.waitUntil(() => bytesOfPartial(hub) > 0, { interval: 1, timeout: 20_000 })
    child.kill('SIGKILL')
    await done
    const before = storageRequests(hub).length
    expect((await pull(hub).done).status).toBe(0)
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
    const [resumed, ...more] = storageRequests(hub).slice(before)
    expect(Number(resumed?.range?.replaceAll(/\D/gu, ''))).toBeGreaterThan(0)
    expect(more).toEqual([])
    expect(leftovers(hub)).toEqual([])
  }, 120_000)
})

describe('two processes', () => {
  test('fetch one set of bytes', async () => {
    const hub = await startHub({ 'config.json': Buffer.from('{}'), [LARGE]: numbers(2 ** 20) })
    hub.burst = 2 ** 14
    const runs = await Promise.all([pull(hub).done, pull(hub).done, pull(hub).done])
    expect(runs.map(({ status }) => status)).toEqual([0, 0, 0])
    expect(new Set(runs.map(({ stdout }) => stdout)).size).toBe(1)
    expect(storageRequests(hub)).toHaveLength(1)
    expect(hashOf(blob(hub))).toBe(hashOfLarge(hub))
    expect(leftovers(hub)).toEqual([])
  })

  test('do each other no harm where locks do not work', async () => {
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

  test('a lock of a process that is gone is taken over', async () => {
    const hub = await startHub()
    const { child, done } = pull(hub)
    hub.intercept = ({ host }) => host === 'storage'
    await vi.waitUntil(() => storageRequests(hub).length > 0, { interval: 1, timeout: 20_000 })
    child.kill('SIGKILL')
    await done
    const locks = join(hub.options.cacheDir, '.locks', FOLDER)
    expect(readdirSync(locks)).toContain(`${hashOfLarge(hub)}.node-mlx.lock`)
    hub.intercept = undefined
    const startedAt = performance.now()
    expect((await pull(hub).done).status).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(10_000)
    expect(leftovers(hub)).toEqual([])
  })
})

test.skipIf(process.platform === 'win32')('a full disk', async () => {
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
  const { stdout } = await cli(hub, 'ls').done
  expect(stdout).toMatch(/^owner\/tiny-model +[\d.]+ kB +v1\n$/u)
  expect(await cli(hub, 'rm', ID).done).toEqual({
    status: 0,
    stdout: expect.stringMatching(/^\d.* freed\n$/u) as string,
    stderr: '',
  })
  expect(existsSync(folder)).toBe(false)
  for (const args of [['rm', ID], ['rm', '../x'], ['rm'], ['pull'], ['pull', 'a/b', 'c/d']]) {
    const { status, stderr } = await cli(hub, ...args).done
    expect(status).toBe(1)
    expect(stderr).toMatch(/^node-mlx: .*\n$/u)
  }
  hub.intercept = (_, response) => refuse(response, 401)
  expect(await pull(hub).done).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^node-mlx: owner\/tiny-model: .*needs a token.*\n$/u) as string,
  })
})

function pull(hub: Hub, ...args: string[]): Run {
  return cli(hub, 'pull', ID, ...args)
}

function cli(hub: Hub, ...args: string[]): Run {
  return start(process.execPath, [CLI, ...args], hub)
}

function start(command: string, args: string[], hub: Hub): Run {
  const { HOME, PATH } = process.env
  const { cacheDir, endpoint } = hub.options
  const env = { HOME, PATH, HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint, HF_TOKEN_PATH: cacheDir }
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

/** What only an unfinished download of the large file has. */
function leftovers(hub: Hub): string[] {
  return readdirSync(hub.options.cacheDir, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.includes(hashOfLarge(hub)) && /\.(?:incomplete|lock)$/u.test(name),
  )
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
