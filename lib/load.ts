// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isAbsolute, resolve } from 'node:path'
import { abortError, fromNative, invalidArgument } from './errors'
import { isFolder } from './hub/cache'
import { downloadModel } from './hub'
import { Model } from './model'
import { native } from './native'
import { checkOptions, LOAD_OPTIONS, show } from './options'
import { onAbort } from './signals'
import type { LoadOptions } from './types'

/**
 * Loads a model: a folder that holds config.json, tokenizer.json and safetensors weights, or one of the
 * Hugging Face Hub, which is downloaded first, as far as the cache lacks it.
 *
 * @param idOrPath the path of a folder, or `owner/name` where there is no such folder
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE_MISSING, ERR_CONFIG_INVALID, ERR_MODEL_UNSUPPORTED,
 *   ERR_WEIGHTS_INVALID, ERR_WEIGHTS_MISMATCH, ERR_TOKENIZER_INVALID, ERR_TOKENIZER_MISMATCH,
 *   ERR_DEVICE_UNAVAILABLE, ERR_INSUFFICIENT_MEMORY, ABORT_ERR, or what `downloadModel` throws: the message names the file, and the
 *   field or tensor
 */
export async function loadModel(idOrPath: string, options: LoadOptions = {}): Promise<Model> {
  checkOptions(options, LOAD_OPTIONS)
  const { adapter, device, maxQueue, onProgress, signal } = options
  const path = await findModel(idOrPath, options)

  let failure: { error: unknown } | undefined
  const loading = native.load(
    {
      path: resolve(path),
      ...(adapter !== undefined && { adapter: resolve(adapter) }),
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

/** The folder of a model, which is downloaded if need be. */
export async function findModel(idOrPath: string, options: LoadOptions): Promise<string> {
  if (typeof idOrPath !== 'string' || idOrPath === '' || idOrPath.includes('\0')) {
    throw invalidArgument(
      'idOrPath',
      `expected the path of a model folder, or 'owner/name', got ${show(idOrPath)}`,
    )
  }
  const { signal } = options
  if (signal?.aborted) throw abortError(signal.reason)
  const path = (await isPath(idOrPath)) ? idOrPath : await download(idOrPath, options)
  if (signal?.aborted) throw abortError(signal.reason)
  return path
}

/** Whether this is the path of a folder, rather than `owner/name`. */
async function isPath(idOrPath: string): Promise<boolean> {
  return (
    /^(?:[./~]|[a-z]:)/iu.test(idOrPath) ||
    isAbsolute(idOrPath) ||
    idOrPath.split('/').length !== 2 ||
    isFolder(idOrPath)
  )
}

async function download(id: string, options: LoadOptions): Promise<string> {
  const { revision, cacheDir, token, endpoint, offline, onProgress, signal } = options
  return downloadModel(id, { revision, cacheDir, token, endpoint, offline, onProgress, signal })
}
