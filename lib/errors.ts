// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** The stable codes of {@link NodeMlxError}. */
export type ErrorCode =
  | 'ABORT_ERR'
  | 'ERR_BINARY_MISSING'
  | 'ERR_CHAT_TEMPLATE'
  | 'ERR_CHAT_TEMPLATE_LIMIT'
  | 'ERR_CONFIG_INVALID'
  | 'ERR_CONTEXT_OVERFLOW'
  | 'ERR_DEVICE_UNAVAILABLE'
  | 'ERR_DOWNLOAD_CORRUPT'
  | 'ERR_DOWNLOAD_FAILED'
  | 'ERR_HUB_GATED'
  | 'ERR_HUB_NOT_FOUND'
  | 'ERR_HUB_RATE_LIMITED'
  | 'ERR_HUB_UNAUTHORIZED'
  | 'ERR_HUB_UNAVAILABLE'
  | 'ERR_INSUFFICIENT_MEMORY'
  | 'ERR_INTERNAL'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_INVALID_STATE'
  | 'ERR_MODEL_DISPOSED'
  | 'ERR_MODEL_FILE_MISSING'
  | 'ERR_MODEL_NOT_FOUND'
  | 'ERR_MODEL_UNSUPPORTED'
  | 'ERR_NON_FINITE_LOGITS'
  | 'ERR_OFFLINE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_PROCESS_GONE'
  | 'ERR_QUEUE_FULL'
  | 'ERR_TOKENIZE_FAILED'
  | 'ERR_TOKENIZER_INVALID'
  | 'ERR_TOKENIZER_MISMATCH'
  | 'ERR_UNSAFE_PATH'
  | 'ERR_WEIGHTS_INVALID'
  | 'ERR_WEIGHTS_MISMATCH'

/** Optional properties of a {@link NodeMlxError}. */
export interface NodeMlxErrorOptions {
  details?: Readonly<Record<string, unknown>> | undefined
  cause?: unknown
}

/** A {@link NodeMlxError} as plain data, for another process. */
export interface NodeMlxErrorJson {
  name: string
  code: ErrorCode
  message: string
  details?: Readonly<Record<string, unknown>>
}

/**
 * The class of all errors of this package. `code` is stable, for use in a `switch`; `message` names the file,
 * tensor, field or option concerned; `details` holds the same facts for programs.
 *
 * An aborted operation rejects with an error whose `name` is `'AbortError'` and whose `code` is `'ABORT_ERR'`.
 */
export class NodeMlxError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, { details, cause }: NodeMlxErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
    // Not enumerable, like Error's own name, so that console.log prints it once.
    Object.defineProperty(this, 'name', {
      value: code === 'ABORT_ERR' ? 'AbortError' : 'NodeMlxError',
      configurable: true,
      writable: true,
    })
  }

  /** Returns the error as plain data, which JSON, IPC and message ports keep. `cause` and `stack` are left out. */
  toJSON(): NodeMlxErrorJson {
    const { name, code, message, details } = this
    return { name, code, message, ...(details !== undefined && { details }) }
  }

  /**
   * Makes an error of what {@link NodeMlxError.toJSON} returned.
   * @throws ERR_INVALID_ARG_VALUE if it is something else
   */
  static fromJSON(json: NodeMlxErrorJson): NodeMlxError {
    const { code, message, details } = (json ?? {}) as Partial<NodeMlxErrorJson>
    if (typeof code === 'string' && typeof message === 'string')
      return new NodeMlxError(code, message, { details })
    throw invalidArgument('json', 'expected what NodeMlxError.toJSON() returned')
  }
}

/** The error of an operation that its caller aborted. `reason` is the signal's reason, if a signal was used. */
export function abortError(reason?: unknown): NodeMlxError {
  return new NodeMlxError('ABORT_ERR', 'The operation was aborted', { cause: reason })
}

/** The error for an invalid argument. */
export function invalidArgument(name: string, problem: string): NodeMlxError {
  return new NodeMlxError('ERR_INVALID_ARG_VALUE', `${name}: ${problem}`, { details: { name } })
}

/** The error for a number outside its range. */
export function outOfRange(name: string, problem: string): NodeMlxError {
  return new NodeMlxError('ERR_OUT_OF_RANGE', `${name}: ${problem}`, { details: { name } })
}

/** Converts an error of the addon to a NodeMlxError; `signal` supplies the reason of an abort. */
export function fromNative(error: unknown, signal?: AbortSignal): NodeMlxError {
  // An abort that another process reports does not know the reason.
  const isAbort = error instanceof NodeMlxError && error.code === 'ABORT_ERR'
  if (isAbort && signal?.aborted) return abortError(signal.reason)
  if (error instanceof NodeMlxError) return error
  const native = parseNative(error)
  if (native === undefined) {
    return new NodeMlxError('ERR_INTERNAL', `internal error (please report it): ${String(error)}`, {
      cause: error,
    })
  }
  if (native.code === 'ABORT_ERR') return abortError(signal?.reason)
  return new NodeMlxError(native.code, native.message, { details: native.details ?? undefined })
}

/** Calls the addon, and converts its errors to NodeMlxError. */
export async function settle<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw fromNative(error)
  }
}

interface NativeError {
  code: ErrorCode
  message: string
  details?: Record<string, unknown> | null
}

/** Parses the JSON object in the message; a napi error can carry nothing else. */
function parseNative(error: unknown): NativeError | undefined {
  const message: unknown = (error as { message?: unknown } | null | undefined)?.message
  if (typeof message !== 'string') return undefined
  try {
    const parsed = JSON.parse(message) as Partial<NativeError> | null
    return typeof parsed?.code === 'string' ? (parsed as NativeError) : undefined
  } catch {
    return undefined
  }
}

/** Whether this is an error of the system, such as that of a full disk. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'
}
