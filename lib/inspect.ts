// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { findAdapter, hubOptions } from './adapter'
import { abortError, settle } from './errors'
import { withModelHeaders } from './hub'
import { native, type NativeInspection } from './native'
import { checkOptions, INSPECT_OPTIONS } from './options'
import { checkIdOrPath, findLocal } from './paths'
import type { LoadOptions, Quantization } from './types'

/** Options of `inspectModel`. */
export interface InspectOptions extends Omit<LoadOptions, 'maxQueue'> {
  /** Tokens of prompt and answer to reckon with. Default: as many as the model can attend to. */
  context?: number | undefined
}

/** What a model is and needs. All sizes are bytes. */
export interface ModelInspection {
  id: string
  /** The architecture, as config.json names it. */
  modelType: string
  /** As if unquantized. */
  parameterCount: number
  quantization: Quantization | undefined
  /** Tokens that the model can attend to. */
  contextLength: number
  vocabSize: number
  /** The files of the weights. */
  fileSize: number
  /** Where it would run. */
  device: string
  memory: {
    /** What the weights will take on the device. */
    weights: number
    /** What the keys and values of `context` tokens take, unquantized. */
    cache: number
    context: number
    /** What the device has left, within the memory limit. Computing needs some of it too. */
    available: number
  }
}

/**
 * Says what a model is and how much memory it needs, from its config and the headers of its weights: none are read.
 * Of a model of the Hub that is not in the cache no more than that is downloaded, and nothing is kept.
 *
 * @param idOrPath as `loadModel` takes it
 * @throws what `loadModel` throws for a folder or a name like this
 */
export async function inspectModel(
  idOrPath: string,
  options: InspectOptions = {},
): Promise<ModelInspection> {
  checkOptions(options, INSPECT_OPTIONS)
  checkIdOrPath(idOrPath)
  const { context, device, signal } = options
  if (signal?.aborted) throw abortError(signal.reason)
  const adapter = await findAdapter(options)
  const inspect = async (path: string): Promise<NativeInspection> =>
    settle(() =>
      native.inspect(
        {
          path,
          ...(adapter !== undefined && { adapter }),
          ...(device !== undefined && { device }),
        },
        context,
      ),
    )
  const local = await findLocal(idOrPath)
  const { info, fileSize, cache, available } = await (local === undefined
    ? withModelHeaders(idOrPath, hubOptions(options), inspect)
    : inspect(local))
  return {
    id: idOrPath,
    modelType: info.modelType,
    parameterCount: info.parameterCount,
    quantization: info.quantization,
    contextLength: info.contextLength,
    vocabSize: info.vocabSize,
    fileSize,
    device: info.device,
    memory: {
      weights: info.memoryUsage,
      cache,
      context: context ?? info.contextLength,
      available,
    },
  }
}
