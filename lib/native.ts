// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isMainThread } from 'node:worker_threads'
import type * as Addon from '../index.js'
import { isPacked, UNPACK_LINES } from './asar'
import { NodeMlxError } from './errors'

/** The packages that hold the addon, by platform. */
const PACKAGES: Readonly<Record<string, string>> = {
  'darwin-arm64': 'node-mlx-darwin-arm64',
  'linux-arm64': 'node-mlx-linux-arm64-gnu',
  'linux-x64': 'node-mlx-linux-x64-gnu',
}

/** The addon, as napi-rs generated its types. Loaded once, when the package is. */
export const native = loadAddon()

// MLX must be idle when the process ends, and Node cleans nothing up when the main thread exits.
if (isMainThread && native.claimExit()) process.once('exit', () => native.shutdown())

export type {
  NativeChunk,
  NativeFileLock,
  NativeGenerationResult,
  NativeInspection,
  NativeModelInfo,
  NativePrompt,
  NativeSlot,
  NativeSpecialTokens,
} from '../index.js'

/** What the package uses of the addon's classes: lib/electron puts models of another process in their place. */
export type NativeGeneration = Pick<Addon.NativeGeneration, 'next' | 'cancel' | 'result'>
export interface NativeModel extends Omit<Addon.NativeModel, 'generate'> {
  generate(...args: Parameters<Addon.NativeModel['generate']>): NativeGeneration
}

function loadAddon(): typeof Addon {
  try {
    return require('../index.js') as typeof Addon
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`
    const name = PACKAGES[platform]
    const details = { platform, ...(name !== undefined && { package: name }) }
    if (name !== undefined && isInArchive(name)) {
      throw new NodeMlxError(
        'ERR_BINARY_MISSING',
        `${name} and its libraries do not load from an asar archive; unpack them, ${UNPACK_LINES}`,
        { cause, details },
      )
    }
    const advice =
      name === undefined
        ? `the available packages are ${Object.values(PACKAGES).join(', ')}`
        : `install the package ${name} (run npm install without --omit=optional), or build it with 'npm run build'`
    throw new NodeMlxError(
      'ERR_BINARY_MISSING',
      `node-mlx has no working binary for ${platform}: ${advice}`,
      { cause, details },
    )
  }
}

function isInArchive(name: string): boolean {
  try {
    return isPacked(require.resolve(name))
  } catch {
    return false
  }
}
