// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isMainThread } from 'node:worker_threads'
import type * as Addon from '../index.js'
import { NodeMlxError } from './errors'

/** The addon, as napi-rs generated its types. Loaded once, when the package is. */
export const native = loadAddon()

// MLX must be idle when the process ends, and Node cleans nothing up when the main thread exits.
if (isMainThread && native.claimExit()) process.once('exit', () => native.shutdown())

export type {
  NativeChunk,
  NativeFileLock,
  NativeGenerateRequest,
  NativeGeneration,
  NativeGenerationResult,
  NativeInspection,
  NativeModel,
  NativeModelInfo,
  NativeSlot,
} from '../index.js'

function loadAddon(): typeof Addon {
  try {
    return require('../index.js') as typeof Addon
  } catch (cause) {
    const platform = `${process.platform}-${process.arch}`
    throw new NodeMlxError(
      'ERR_BINARY_MISSING',
      `node-mlx has no working binary for ${platform}: install the package node-mlx-${platform}* ` +
        `(npm install without --omit=optional does), or build it with 'npm run build'`,
      { cause, details: { platform, package: `node-mlx-${platform}` } },
    )
  }
}
