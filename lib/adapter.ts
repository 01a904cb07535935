// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { downloadAdapter } from './hub'
import { findLocal } from './paths'
import type { DownloadOptions, LoadOptions } from './types'

/** The folder of the adapter that is asked for, which is downloaded if need be. */
export async function findAdapter({
  adapter,
  ...options
}: LoadOptions): Promise<string | undefined> {
  if (adapter === undefined) return undefined
  // A revision is the model's.
  const hub = { ...hubOptions(options), revision: undefined }
  return (await findLocal(adapter)) ?? downloadAdapter(adapter, hub)
}

/** The options that concern the Hub. */
export function hubOptions(options: LoadOptions): DownloadOptions {
  const { revision, cacheDir, token, endpoint, offline, onProgress, signal } = options
  return { revision, cacheDir, token, endpoint, offline, onProgress, signal }
}
