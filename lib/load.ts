// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { abortError, fromNative, invalidArgument, NodeMlxError } from './errors'
import { Model } from './model'
import { native } from './native'
import { checkOptions, LOAD_OPTIONS, show } from './options'
import { onAbort } from './signals'
import type { LoadOptions } from './types'

/** `owner/name`, as the Hugging Face Hub writes it. */
const HUB_ID = /^[\w-][\w.-]*\/[\w-][\w.-]*$/u

/**
 * Loads a model from a folder that holds config.json, tokenizer.json and safetensors weights.
 *
 * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE_MISSING, ERR_CONFIG_INVALID, ERR_MODEL_UNSUPPORTED,
 *   ERR_WEIGHTS_INVALID, ERR_WEIGHTS_MISMATCH, ERR_TOKENIZER_INVALID, ERR_TOKENIZER_MISMATCH,
 *   ERR_DEVICE_UNAVAILABLE or ABORT_ERR: the message names the file, and the field or tensor
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalidArgument('path', `expected the path of a model folder, got ${show(path)}`)
  }
  checkOptions(options, LOAD_OPTIONS)
  const { device, maxQueue, onProgress, signal } = options
  if (signal?.aborted) throw abortError(signal.reason)
  if (HUB_ID.test(path) && !(await isFolder(path))) throw notDownloaded(path)

  let failure: { error: unknown } | undefined
  const loading = native.load(
    {
      path: resolve(path),
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
    if (failure === undefined) return new Model(path, model)
    // Too late to stop it: the last weights were read.
    await model.dispose()
  } catch (error) {
    failure ??= { error: fromNative(error, signal) }
  } finally {
    forgetSignal()
  }
  throw failure.error
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

function notDownloaded(id: string): NodeMlxError {
  return new NodeMlxError(
    'ERR_MODEL_NOT_FOUND',
    `no model folder at '${id}': this version does not download from the Hugging Face Hub, ` +
      'so give the path of a local folder',
    { details: { path: resolve(id) } },
  )
}
