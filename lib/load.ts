// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { findAdapter, hubOptions } from './adapter'
import { abortError, fromNative } from './errors'
import { explain } from './explain'
import { downloadModel } from './hub'
import { Model } from './model'
import { native, type LocalModel } from './native'
import { checkOptions, LOAD_OPTIONS } from './options'
import { checkIdOrPath, explainHub, findLocal } from './paths'
import { onAbort } from './signals'
import type { LoadOptions } from './types'

/**
 * Loads a model: from a folder with config.json, tokenizer.json and safetensors weights, or from the Hugging Face
 * Hub, which first downloads the files that are not in the cache.
 *
 * @param idOrPath the path of a folder, or `owner/name` on the Hub if no such folder exists
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE_MISSING, ERR_CONFIG_INVALID, ERR_MODEL_UNSUPPORTED,
 *   ERR_WEIGHTS_INVALID, ERR_WEIGHTS_MISMATCH, ERR_TOKENIZER_INVALID, ERR_TOKENIZER_MISMATCH,
 *   ERR_DEVICE_UNAVAILABLE, ERR_INSUFFICIENT_MEMORY, ABORT_ERR, or what `downloadModel`
 *   throws; the message names the file, and the field or tensor. ERR_INVALID_ARG_VALUE also where NODE_MLX_KERNELS
 *   or NODE_MLX_THREADS has a value that this machine does not allow
 */
export async function loadModel(idOrPath: string, options: LoadOptions = {}): Promise<Model> {
  return new Model(idOrPath, await loadNative(idOrPath, options))
}

/** `loadModel` without the class around the addon's model. */
export async function loadNative(idOrPath: string, options: LoadOptions): Promise<LocalModel> {
  const checked = checkOptions(options, LOAD_OPTIONS)
  return loadFiles(await findFiles(idOrPath, checked), checked)
}

/** The folders of a model and of its adapter. */
export interface ModelFiles {
  path: string
  adapter: string | undefined
}

/** Finds the files of a model, or downloads them. */
export async function findFiles(idOrPath: string, options: LoadOptions): Promise<ModelFiles> {
  checkIdOrPath(idOrPath)
  const { signal } = options
  if (signal?.aborted) throw abortError(signal.reason)
  // The smaller one first, to fail early.
  const adapter = await findAdapter(options)
  const local = await findLocal(idOrPath)
  const path = local ?? (await explainHub(idOrPath, downloadModel(idOrPath, hubOptions(options))))
  return { path, adapter }
}

/** Loads what was found; `headless`: without the output layer. */
export async function loadFiles(
  { path, adapter }: ModelFiles,
  options: LoadOptions,
  headless = false,
): Promise<LocalModel> {
  const { contextLength, device, maxQueue, onProgress, signal } = options
  if (signal?.aborted) throw abortError(signal.reason)
  let failure: { error: unknown } | undefined
  const loading = native.load(
    {
      path,
      headless,
      ...(adapter !== undefined && { adapter }),
      ...(device !== undefined && device !== 'auto' && { device }),
      ...(maxQueue !== undefined && { maxQueue }),
      ...(contextLength !== undefined && { contextLength }),
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
    if (failure === undefined) return model
    // Too late to stop it: the last weights were read.
    await model.dispose()
  } catch (error) {
    failure ??= { error: explain(fromNative(error, signal)) }
  } finally {
    forgetSignal()
  }
  throw failure.error
}
