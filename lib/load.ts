// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { abortError, fromNative, invalidArgument } from './errors'
import { downloadAdapter, downloadModel } from './hub'
import { Model } from './model'
import { native } from './native'
import { checkOptions, LOAD_OPTIONS, show } from './options'
import { locate } from './paths'
import { onAbort } from './signals'
import type { LoadOptions } from './types'

/**
 * Loads a model: a folder that holds config.json, tokenizer.json and safetensors weights, or one of the
 * Hugging Face Hub, which is downloaded first, as far as the cache lacks it.
 *
 * @param idOrPath the path of a folder, or `owner/name` where there is no such folder
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE_MISSING, ERR_CONFIG_INVALID, ERR_MODEL_UNSUPPORTED,
 *   ERR_WEIGHTS_INVALID, ERR_WEIGHTS_MISMATCH, ERR_TOKENIZER_INVALID, ERR_TOKENIZER_MISMATCH,
 *   ERR_DEVICE_UNAVAILABLE, ERR_INSUFFICIENT_MEMORY, ABORT_ERR, or what `downloadModel`
 *   throws: the message names the file, and the field or tensor
 */
export async function loadModel(idOrPath: string, options: LoadOptions = {}): Promise<Model> {
  checkOptions(options, LOAD_OPTIONS)
  const { device, maxQueue, onProgress, signal } = options
  const folders = await findFolders(idOrPath, options)

  let failure: { error: unknown } | undefined
  const loading = native.load(
    {
      ...folders,
      ...(device !== undefined && { device }),
      ...(maxQueue !== undefined && { maxQueue }),
    },
    onProgress &&
      ((loaded, total) => {
        if (failure !== undefined) return
        try {
          onProgress({ stage: 'load', loaded, total })
        } catch (error) {
          failure = { error }
          loading.cancel()
        }
      }),
  )
  const giveUp = (): void => {
    failure ??= { error: abortError(signal?.reason) }
    loading.cancel()
  }
  const forgetSignal = onAbort(signal, giveUp)
  if (signal?.aborted) giveUp()
  try {
    const model = await loading.result()
    if (failure === undefined) return new Model(idOrPath, model)
    // Too late to stop it: the last weights were read.
    await model.dispose()
  } catch (error) {
    failure ??= { error: fromNative(error, signal) }
  } finally {
    forgetSignal()
  }
  throw failure.error
}

/** The folders of a model and its adapter, which are downloaded if need be. */
export async function findFolders(
  idOrPath: string,
  { adapter, revision, cacheDir, token, endpoint, offline, onProgress, signal }: LoadOptions,
): Promise<{ path: string; adapter?: string }> {
  if (typeof idOrPath !== 'string' || idOrPath === '' || idOrPath.includes('\0')) {
    throw invalidArgument(
      'idOrPath',
      `expected the path of a model folder, or 'owner/name', got ${show(idOrPath)}`,
    )
  }
  if (signal?.aborted) throw abortError(signal.reason)
  const options = { cacheDir, token, endpoint, offline, onProgress, signal }
  // The smaller one first, to fail early.
  const adapterPath = adapter && (await locate(adapter, (id) => downloadAdapter(id, options)))
  const path = await locate(idOrPath, (id) => downloadModel(id, { ...options, revision }))
  if (signal?.aborted) throw abortError(signal.reason)
  return { path, ...(adapterPath && { adapter: adapterPath }) }
}
