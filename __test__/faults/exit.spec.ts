// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `.ci/run` and `npm run soak` run this with more of everything.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inChild, MAX_EXIT_MS } from '../helpers/child'
import { makeLongModel } from '../helpers/models'

const EXITS = Number(process.env['TEST_EXITS'] ?? 15)
const WORKERS = Number(process.env['TEST_WORKERS'] ?? 15)
const AT_ONCE = 3
const TIMEOUT_MS = 600_000

const WAYS = {
  'process.exit': { code: 7, signal: null },
  'an uncaught exception': { code: 1, signal: null },
  SIGTERM: { code: null, signal: 'SIGTERM' },
  SIGINT: { code: null, signal: 'SIGINT' },
} as const

const folder = makeLongModel()

test.each(Object.keys(WAYS) as (keyof typeof WAYS)[])(
  `row 46: %s midway ends the process as it should, ${EXITS} times`,
  { timeout: TIMEOUT_MS, retry: 2 },
  async (way) => {
    const ends: object[] = []
    let started = 0
    const worker = async (): Promise<void> => {
      while (started < EXITS) {
        started += 1
        ends.push(await exitMidway(way, started % 20))
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    expect(ends).toEqual(Array.from({ length: EXITS }, () => ({ ...WAYS[way], isInTime: true })))
  },
)

test(
  `row 47: worker.terminate() midway, ${WORKERS} times, leaves the main thread's model at work`,
  async () => {
    const ended = await inChild(
      async ({ load, mlx, sleep, stepsUntilIdle }, { path, script, times }) => {
        const { Worker } = process.getBuiltinModule('node:worker_threads')
        const { once } = process.getBuiltinModule('node:events')
        const model = await load(path)
        const options = {
          maxTokens: 90_000,
          ignoreEos: true,
          temperature: 0,
          cache: 'none',
        } as const
        const expected = (await model.generate([1], { ...options, maxTokens: 50 })).tokens
        const before = (await mlx.memoryUsage()).active
        const mine = model.generate([1], options)[Symbol.asyncIterator]()
        const first: number[] = []
        const readMine = async () => {
          const next = await mine.next()
          if (!next.done) first.push(...next.value.tokens)
        }
        for (let count = 0; count < times; count += 1) {
          const worker = new Worker(script, { workerData: path })
          await once(worker, 'message')
          // Every other one is still loading.
          if (count % 2 === 0) await once(worker, 'message')
          await sleep(count % 5)
          await worker.terminate()
          await readMine()
        }
        while (first.length < expected.length) await readMine()
        await mine.return?.()
        return {
          isMine: String(first.slice(0, expected.length)) === String(expected),
          steps: await stepsUntilIdle(),
          left: (await mlx.memoryUsage()).active - before,
        }
      },
      {
        path: folder,
        script: join(import.meta.dirname, '../helpers/worker-main.mjs'),
        times: WORKERS,
      },
    )
    expect(ended.isMine).toBe(true)
    expect(ended.steps).toBeLessThanOrEqual(20)
    expect(ended.left).toBeLessThanOrEqual(0)
  },
  TIMEOUT_MS,
)

/** Starts a process that generates, and ends it some milliseconds after its first token. */
async function exitMidway(way: keyof typeof WAYS, delay: number): Promise<object> {
  const script = join(import.meta.dirname, '../helpers/exit-main.mjs')
  const child = spawn(process.execPath, [script, folder, way, String(delay)], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let askedAt = performance.now()
  child.stdout.once('data', () => {
    askedAt = performance.now() + delay
    if (way === 'SIGTERM' || way === 'SIGINT') setTimeout(() => child.kill(way), delay)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      resolve({ code, signal, isInTime: performance.now() - askedAt < MAX_EXIT_MS })
    })
  })
}
