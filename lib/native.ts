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
  NativeReadout,
  NativeRestored,
  NativeSlot,
  NativeSpecialTokens,
} from '../index.js'

/** A model of this process. */
export type LocalModel = Addon.NativeModel

/** What the package uses of the addon's classes: lib/electron puts models of another process in their place. */
export type NativeGeneration = Pick<Addon.NativeGeneration, 'next' | 'cancel' | 'result'>
export interface NativeModel extends Omit<Addon.NativeModel, 'generate' | 'read'> {
  generate(...args: Parameters<Addon.NativeModel['generate']>): NativeGeneration
}
