// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Binary } from './binary'
import { settle } from './errors'
import { binary as used, native } from './native'
import { checkBytes, checkThreads } from './options'
import type { MemoryUsage } from './types'

/** The version of this package. */
export const version: string = native.version()

/** The version of MLX in use. */
export const mlxVersion: string = native.mlxVersion()

/**
 * Returns the package whose build of MLX is in use. If an extra package is installed (for NVIDIA GPUs, or for macOS 26)
 * but cannot be used, `unused` says why.
 */
export function binary(): Binary {
  return structuredClone(used)
}

/** Returns the devices available to `loadModel`: `'cpu'`, and `'gpu'` if there is one. */
export function devices(): string[] {
  return native.devices()
}

/** Returns the memory use of MLX, over all models. */
export async function memoryUsage(): Promise<MemoryUsage> {
  return settle(native.memoryUsage)
}

/**
 * Sets the number of bytes beyond which MLX waits for running work to free memory. Returns the previous limit.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setMemoryLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setMemoryLimit(bytes))
}

/**
 * Sets the number of freed bytes that MLX may keep for reuse. Returns the previous limit.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setCacheLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setCacheLimit(bytes))
}

/**
 * Sets the number of bytes of KV caches kept between runs, with and without a chat, over all models. Returns the previous
 * limit. Default: a quarter of the memory limit. At most 64 caches are kept, whatever their size; the least recently used
 * are evicted first. With 0, no run reuses a cache.
 * @throws ERR_OUT_OF_RANGE
 */
export async function setChatCacheLimit(bytes: number): Promise<number> {
  checkBytes('bytes', bytes)
  return settle(() => native.setChatCacheLimit(bytes))
}

/**
 * Sets the number of threads that compute on the CPU, from 1 to 1,024, from the next operation on. Returns the previous
 * number. Default: the number of cores that the process may use, or the environment variable `NODE_MLX_THREADS`.
 * @throws ERR_OUT_OF_RANGE, or ERR_INVALID_ARG_VALUE if that variable has a value that is not allowed
 */
export async function setThreads(count: number): Promise<number> {
  checkThreads('count', count)
  return settle(() => native.setThreads(count))
}
