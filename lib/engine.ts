// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { settle } from './errors'
import { native } from './native'
import { checkBytes } from './options'
import type { MemoryUsage } from './types'

/** The version of this package. */
export const version: string = native.version()

/** The version of MLX that it runs on. */
export const mlxVersion: string = native.mlxVersion()

/** The devices that `loadModel` can be asked for here: `'cpu'`, and `'gpu'` where there is one. */
export function devices(): string[] {
  return native.devices()
}

/** What MLX holds in memory, over all models. */
export async function memoryUsage(): Promise<MemoryUsage> {
  return settle(native.memoryUsage)
}

/**
 * Sets how many bytes MLX may hold before it waits for running work to free some, and gives the limit before.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setMemoryLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setMemoryLimit(bytes))
}

/**
 * Sets how many freed bytes MLX may keep for reuse, and gives the limit before.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setCacheLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setCacheLimit(bytes))
}

/**
 * Sets how many bytes of KV caches may be kept for the next runs of chats, over all models, and gives the limit
 * before. Default: a quarter of the memory limit. However small, at most 64 are kept; the least recently used go first.
 * With 0 no chat reuses anything.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setChatCacheLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setChatCacheLimit(bytes))
}
