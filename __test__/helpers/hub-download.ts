// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { downloadModel, NodeMlxError, type DownloadOptions } from 'node-mlx'
import { beforeEach, expect, vi } from 'vitest'
import { COMMIT, ID, type Hub } from './hub-server'

/** The model's folder in the cache. */
export const FOLDER = 'models--owner--tiny-model'

// Nothing of the user's own: no cache, no token.
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('HF_')) vi.stubEnv(name, '')
  vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '1')
})

/** The error that a download ends with. */
export async function failure(hub: Hub, options: DownloadOptions = {}): Promise<NodeMlxError> {
  const error = await downloadModel(ID, { ...hub.options, ...options }).catch(
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(NodeMlxError)
  return error as NodeMlxError
}

/** Names in the folder of blobs. */
export function blobs(hub: Hub): string[] {
  const folder = join(hub.options.cacheDir, FOLDER, 'blobs')
  return existsSync(folder) ? readdirSync(folder) : []
}

/** Names in the snapshot. */
export function snapshot(hub: Hub): string[] {
  try {
    return readdirSync(join(hub.options.cacheDir, FOLDER, 'snapshots', COMMIT))
  } catch {
    return []
  }
}

export function random(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (index * 2654435761) >>> 24))
}
