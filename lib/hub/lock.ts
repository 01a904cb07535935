// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A lock between processes: a file that only one can create. Its owner keeps touching it, so that others know
// when it is gone. It saves bandwidth; that the cache is right does not depend on it (see download.ts).

import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 100
const HEARTBEAT_MS = 2000
const STALE_MS = 15_000

interface Owner {
  id: string
  host: string
  pid: number
}

/** Runs `work` while no other process does so under the same lock. */
export async function withLock<T>(
  path: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  const owner: Owner = { id: randomUUID(), host: hostname(), pid: process.pid }
  await acquire(path, owner, signal)
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {})
  }, HEARTBEAT_MS).unref()
  try {
    return await work()
  } finally {
    clearInterval(heartbeat)
    await release(path, owner.id).catch(() => {})
  }
}

async function acquire(path: string, owner: Owner, signal: AbortSignal): Promise<void> {
  let last = ''
  let since = performance.now()
  while (!(await create(path, owner))) {
    const holder = await readOwner(path)
    const touched = await stat(path).catch(() => null)
    const seen = `${holder?.id} ${touched?.mtimeMs}`
    if (seen !== last) {
      last = seen
      since = performance.now()
    }
    if (isDead(holder) || performance.now() - since > STALE_MS) await release(path, holder?.id)
    else await sleep(POLL_MS, undefined, { signal })
  }
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Takes the lock away from this owner, but from no other. */
async function release(path: string, id: string | undefined): Promise<void> {
  if ((await readOwner(path))?.id === id) await rm(path, { force: true })
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner
  } catch {
    return undefined
  }
}

/** Whether the process that held a lock on this machine was killed. */
function isDead(owner: Owner | undefined): boolean {
  if (owner === undefined || owner.host !== hostname()) return false
  try {
    process.kill(owner.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
