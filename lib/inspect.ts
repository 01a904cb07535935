// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { findAdapter, hubOptions } from './adapter'
import { abortError, fromNative } from './errors'
import { explain } from './explain'
import { withModelHeaders } from './hub'
import { native, type NativeInspection } from './native'
import { checkOptions, INSPECT_OPTIONS } from './options'
import { checkIdOrPath, explainHub, findLocal } from './paths'
import type { LoadOptions, Quantization } from './types'

/** Options of `inspectModel`. */
export interface InspectOptions extends Omit<LoadOptions, 'maxQueue' | 'contextLength'> {
  /** Number of prompt and answer tokens to size the KV cache for. Default: the model's context length. */
  context?: number | undefined
}

/** Properties and memory needs of a model. All sizes are in bytes. */
export interface ModelInspection {
  id: string
  /** The architecture: `model_type` in config.json. */
  modelType: string
  /** Number of parameters before quantization. */
  parameterCount: number
  quantization: Quantization | undefined
  /** Maximum number of tokens that the model can attend to. */
  contextLength: number
  vocabSize: number
  /** Size of the weight files. */
  fileSize: number
  /** Device that the model would run on: `'gpu'` or `'cpu'`. */
  device: string
  memory: {
    /** Memory for the weights on the device. */
    weights: number
    /** Memory for the keys and values of `context` tokens, unquantized. */
    cache: number
    context: number
    /** Memory available on the device, within the memory limit. Computation needs part of it. */
    available: number
  }
}

/**
 * Returns a model's properties and memory needs, from its config and the headers of its weight files; no weights are
 * read. For a Hub model that is not in the cache, only these are downloaded, and none of them is kept.
 *
 * @param idOrPath as for `loadModel`
 * @throws the errors of `loadModel` that concern the folder or the download
 */
export async function inspectModel(
  idOrPath: string,
  options: InspectOptions = {},
): Promise<ModelInspection> {
  const checked = checkOptions(options, INSPECT_OPTIONS)
  checkIdOrPath(idOrPath)
  const { context, device, signal } = checked
  if (signal?.aborted) throw abortError(signal.reason)
  const adapter = await findAdapter(checked)
  const inspect = async (path: string): Promise<NativeInspection> => {
    const folder = {
      path,
      ...(adapter !== undefined && { adapter }),
      ...(device !== undefined && device !== 'auto' && { device }),
    }
    return native.inspect(folder, context).catch((error: unknown) => {
      throw explain(fromNative(error))
    })
  }
  const local = await findLocal(idOrPath)
  const { info, fileSize, cache, available } = await (local === undefined
    ? explainHub(idOrPath, withModelHeaders(idOrPath, hubOptions(checked), inspect))
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
