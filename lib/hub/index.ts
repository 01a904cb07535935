// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { abortError, invalidArgument, isSystemError, NodeMlxError } from '../errors'
import { checkOptions, DOWNLOAD_OPTIONS, show } from '../options'
import { onAbort } from '../signals'
import type { DownloadOptions } from './types'
import { checkId, checkRevision, type Kind } from './files'
import { readSettings } from './settings'
import { SnapshotDownload } from './snapshot'

/**
 * Downloads the files of a model on the Hugging Face Hub that are not in the cache, and returns the model's folder.
 * The cache is the one that huggingface_hub uses. Interrupted downloads resume where they left off.
 *
 * @param id `owner/name`
 * @throws ERR_HUB_UNAUTHORIZED, ERR_HUB_GATED, ERR_HUB_NOT_FOUND, ERR_HUB_RATE_LIMITED, ERR_HUB_UNAVAILABLE,
 *   ERR_OFFLINE, ERR_DOWNLOAD_CORRUPT, ERR_DOWNLOAD_FAILED, ERR_UNSAFE_PATH, ERR_MODEL_FILE_MISSING,
 *   ERR_INVALID_ARG_VALUE or ABORT_ERR
 */
export async function downloadModel(id: string, options: DownloadOptions = {}): Promise<string> {
  return withSnapshot(id, 'model', options, (snapshot) => snapshot.run())
}

/** `downloadModel` for an adapter. */
export async function downloadAdapter(id: string, options: DownloadOptions = {}): Promise<string> {
  return withSnapshot(id, 'adapter', options, (snapshot) => snapshot.run())
}

/** Calls `use` with a folder that holds at least the configs of a model and the headers of its weight files. */
export async function withModelHeaders<T>(
  id: string,
  options: DownloadOptions,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  return withSnapshot(id, 'model', options, (snapshot) => snapshot.inspect(use))
}

async function withSnapshot<T>(
  id: string,
  kind: Kind,
  options: DownloadOptions,
  use: (snapshot: SnapshotDownload) => Promise<T>,
): Promise<T> {
  if (typeof id !== 'string') throw invalidArgument('id', `expected 'owner/name', got ${show(id)}`)
  const checked = checkOptions(options, DOWNLOAD_OPTIONS)
  const { signal, revision = 'main', onProgress } = checked
  if (signal?.aborted) throw abortError(signal.reason)
  checkId(id)
  checkRevision(revision)
  const settings = await readSettings(checked)

  const stop = new AbortController()
  const forgetSignal = onAbort(signal, () => stop.abort(abortError(signal?.reason)))
  if (signal?.aborted) stop.abort(abortError(signal.reason))
  try {
    const source = { id, revision, kind }
    return await use(new SnapshotDownload(source, settings, onProgress, stop))
  } catch (error) {
    const failure: unknown = stop.signal.aborted ? stop.signal.reason : error
    if (!isSystemError(failure)) throw failure
    throw new NodeMlxError('ERR_DOWNLOAD_FAILED', `${id}: ${failure.message}`, {
      cause: failure,
      details: { id, cacheDir: settings.cacheDir },
    })
  } finally {
    forgetSignal()
  }
}
