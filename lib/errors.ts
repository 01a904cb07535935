// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** The stable codes of {@link NodeMlxError}. */
export type ErrorCode =
  | 'ABORT_ERR'
  | 'ERR_BINARY_MISSING'
  | 'ERR_CHAT_FILE'
  | 'ERR_CHAT_TEMPLATE'
  | 'ERR_CHAT_TEMPLATE_LIMIT'
  | 'ERR_CONFIG_INVALID'
  | 'ERR_CONTEXT_OVERFLOW'
  | 'ERR_DEVICE_UNAVAILABLE'
  | 'ERR_DOWNLOAD_CORRUPT'
  | 'ERR_DOWNLOAD_FAILED'
  | 'ERR_GPU_FAILED'
  | 'ERR_GRAMMAR_UNSUPPORTED'
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
  | 'ERR_SCHEMA_MISMATCH'
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
 *
 * Other processes and threads get copies, of which {@link NodeMlxError.from} makes errors of this class again.
 */
export class NodeMlxError extends Error {
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, { details, cause }: NodeMlxErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
    const name = code === 'ABORT_ERR' ? 'AbortError' : 'NodeMlxError'
    // The stack begins with the code, as those of Node's errors: a structured clone keeps it nowhere else.
    setName(this, `${name} [${code}]`)
    Error.captureStackTrace(this, NodeMlxError)
    void this.stack
    setName(this, name)
  }

  /** Returns name, code and message, which is all that Electron's `invoke` keeps of an error. */
  override toString(): string {
    return `${this.name} [${this.code}]: ${this.message}`
  }

  /**
   * Returns the error as plain data, which JSON, IPC and message ports keep. `cause` and `stack` are left out.
   * `JSON.stringify` calls this, and so does `process.send`.
   */
  toJSON(): NodeMlxErrorJson {
    const { name, code, message, details } = this
    return { name, code, message, ...(details !== undefined && { details }) }
  }

  /**
   * Makes an error of what another process or thread got of one: what {@link NodeMlxError.toJSON} returned, a structured
   * clone, as message ports and `process.send` with `serialization: 'advanced'` make it, or the error of a call by
   * Electron's `invoke`. The last two lack `details`. Returns `undefined` for anything else.
   */
  static from(value: unknown): NodeMlxError | undefined {
    if (value instanceof NodeMlxError) return value
    const { name, code, message, stack, details } = (value ?? {}) as Partial<Copy>
    if (typeof message !== 'string') return undefined
    if (typeof code === 'string' && (name === 'NodeMlxError' || name === 'AbortError'))
      return new NodeMlxError(code, message, { details })
    const [invoked, remoteCode, remoteMessage = ''] = INVOKED.exec(message) ?? []
    if (invoked !== undefined) return new NodeMlxError(remoteCode as ErrorCode, remoteMessage)
    const [, cloned] = CLONED.exec(String(stack)) ?? []
    return cloned === undefined ? undefined : new NodeMlxError(cloned as ErrorCode, message)
  }
}

interface Copy extends NodeMlxErrorJson {
  stack: string
}

/** Beginning of the stack of a {@link NodeMlxError}. */
const CLONED = /^(?:NodeMlxError|AbortError) \[(\w+)\]: /u
/** Message of the error that Electron makes of a {@link NodeMlxError}. */
const INVOKED = /^Error invoking remote method .*?: (?:NodeMlxError|AbortError) \[(\w+)\]: (.*)$/su

/** Not enumerable, like Error's own name, so that console.log prints it once. */
function setName(error: Error, value: string): void {
  Object.defineProperty(error, 'name', { value, configurable: true, writable: true })
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
  const known = NodeMlxError.from(error)
  // An abort that another process reports does not know the reason.
  if (known?.code === 'ABORT_ERR' && signal?.aborted) return abortError(signal.reason)
  if (known !== undefined) return known
  const native = parseNative(error)
  if (native === undefined) {
    return new NodeMlxError('ERR_INTERNAL', `internal error (please report it): ${textOf(error)}`, {
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

/** What was thrown, as a text. Anything can be thrown, also what has none. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return `a value of type ${typeof thrown}`
  }
}

/** Whether this is an error of the system, such as that of a full disk. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'
}
