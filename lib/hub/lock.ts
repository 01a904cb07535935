// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The lock between processes, shared with huggingface_hub. It only saves bandwidth; the cache stays correct
// without it (see download.ts).

import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NativeFileLock } from '../native'

const POLL_MS = 100

/** Runs `work` while holding the lock, or without it if locks are unavailable. */
export async function withLock<T>(
  path: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const lock = await acquire(path, signal)
  try {
    return await work()
  } finally {
    lock?.release()
  }
}

async function acquire(path: string, signal: AbortSignal): Promise<NativeFileLock | undefined> {
  try {
    // Loaded only here: models can also be downloaded on platforms without an addon.
    const { native } = require('../native') as typeof import('../native')
    await mkdir(dirname(path), { recursive: true })
    for (;;) {
      const lock = native.tryLockFile(path)
      if (lock !== null) return lock
      await sleep(POLL_MS, undefined, { signal })
    }
  } catch {
    signal.throwIfAborted()
    // No addon, or a file system without locks.
    return undefined
  }
}
