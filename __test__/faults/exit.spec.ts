// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeLongModel } from '../helpers/models'

const TIMES = 50
const AT_ONCE = 3
const MAX_EXIT_MS = 2000

const WAYS = {
  'process.exit': { code: 7, signal: null },
  'an uncaught exception': { code: 1, signal: null },
  SIGTERM: { code: null, signal: 'SIGTERM' },
  SIGINT: { code: null, signal: 'SIGINT' },
} as const

const folder = makeLongModel()

test.each(Object.keys(WAYS) as (keyof typeof WAYS)[])(
  `row 46: %s midway ends the process as it should, ${TIMES} times`,
  async (way) => {
    const ends: object[] = []
    let started = 0
    const worker = async (): Promise<void> => {
      while (started < TIMES) {
        started += 1
        ends.push(await exitMidway(way, started % 20))
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    expect(ends).toEqual(Array.from({ length: TIMES }, () => ({ ...WAYS[way], isInTime: true })))
  },
  120_000,
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
