// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isMainThread } from 'node:worker_threads'
import type * as Addon from '../index.js'
import { loadBinary } from './binary'

/** The addon, as napi-rs generated its types, and where it is from. Loaded once, when the package is. */
export const { addon: native, binary } = loadBinary()

// MLX must be idle when the process ends, and Node cleans nothing up when the main thread exits.
if (isMainThread && native.claimExit()) process.once('exit', () => native.shutdown())

export type {
  NativeChunk,
  NativeFileLock,
  NativeGenerationResult,
  NativeInspection,
  NativeModelInfo,
  NativePrompt,
  NativeRestored,
  NativeSlot,
  NativeSpecialTokens,
} from '../index.js'

/** What the package uses of the addon's classes: lib/electron puts models of another process in their place. */
export type NativeGeneration = Pick<Addon.NativeGeneration, 'next' | 'cancel' | 'result'>
export interface NativeModel extends Omit<Addon.NativeModel, 'generate'> {
  generate(...args: Parameters<Addon.NativeModel['generate']>): NativeGeneration
}
