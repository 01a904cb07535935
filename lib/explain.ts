// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Adds to errors what those who raise them do not know.

import { NodeMlxError } from './errors'
import { binary } from './native'
import { nearest } from './suggest'

/** Explains an error of loading. */
export function explain(error: NodeMlxError): NodeMlxError {
  const { unused } = binary
  if (error.code === 'ERR_DEVICE_UNAVAILABLE' && unused !== undefined) {
    const message = `${error.message} (${unused.package} is not in use: ${unused.reason})`
    return withMessage(error, message, { unused })
  }
  if (error.code === 'ERR_MODEL_UNSUPPORTED') return explainUnsupported(error)
  return error
}

function explainUnsupported(error: NodeMlxError): NodeMlxError {
  const { modelType, supported } = error.details as { modelType: string; supported: string[] }
  const sorted = supported.toSorted()
  const like = nearest(modelType, sorted)
  const message =
    `model_type '${modelType}' is not supported${like === undefined ? '' : `; the nearest that is: ${like}`}` +
    `; supported are ${sorted.join(', ')}`
  return withMessage(error, message, { supported: sorted })
}

function withMessage(
  { code, details, cause }: NodeMlxError,
  message: string,
  more?: Record<string, unknown>,
): NodeMlxError {
  return new NodeMlxError(code, message, { details: { ...details, ...more }, cause })
}
