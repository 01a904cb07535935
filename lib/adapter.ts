// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { downloadAdapter } from './hub'
import { explainHub, findLocal } from './paths'
import type { DownloadOptions, LoadOptions } from './types'

/** Returns the folder of the requested adapter, which is downloaded if necessary. */
export async function findAdapter({
  adapter,
  ...options
}: LoadOptions): Promise<string | undefined> {
  if (adapter === undefined) return undefined
  // `revision` applies to the model only.
  const hub = { ...hubOptions(options), revision: undefined }
  return (await findLocal(adapter)) ?? explainHub(adapter, downloadAdapter(adapter, hub))
}

/** Returns the options that concern the Hub. */
export function hubOptions(options: LoadOptions): DownloadOptions {
  const { revision, cacheDir, token, endpoint, offline, onProgress, signal } = options
  return { revision, cacheDir, token, endpoint, offline, onProgress, signal }
}
