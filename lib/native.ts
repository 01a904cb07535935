// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isMainThread } from 'node:worker_threads'
import type * as Addon from '../index.js'
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
  NativeGeneration,
  NativeGenerationResult,
  NativeInspection,
  NativeModel,
  NativeModelInfo,
  NativePrompt,
  NativeSlot,
} from '../index.js'

function loadAddon(): typeof Addon {
  try {
    return require('../index.js') as typeof Addon
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`
    const name = PACKAGES[platform]
    const advice =
      name === undefined
        ? `the available packages are ${Object.values(PACKAGES).join(', ')}`
        : `install the package ${name} (run npm install without --omit=optional), or build it with 'npm run build'`
    throw new NodeMlxError(
      'ERR_BINARY_MISSING',
      `node-mlx has no working binary for ${platform}: ${advice}`,
      { cause, details: { platform, ...(name !== undefined && { package: name }) } },
    )
  }
}
