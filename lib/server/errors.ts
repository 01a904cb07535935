// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Errors as OpenAI's API reports them.

import { NodeMlxError, type ErrorCode } from '../errors'

/** An error of the request itself, before a model has to do with it. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
  }
}

/** What is not listed is the server's fault. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  ABORT_ERR: 504,
  ERR_CHAT_TEMPLATE: 400,
  ERR_CHAT_TEMPLATE_LIMIT: 400,
  ERR_CONTEXT_OVERFLOW: 400,
  ERR_GPU_FAILED: 503,
  ERR_GRAMMAR_UNSUPPORTED: 400,
  ERR_INSUFFICIENT_MEMORY: 503,
  ERR_INVALID_ARG_VALUE: 400,
  ERR_MODEL_DISPOSED: 503,
  ERR_OUT_OF_MEMORY: 503,
  ERR_OUT_OF_RANGE: 400,
  ERR_QUEUE_FULL: 503,
  ERR_TOKENIZE_FAILED: 400,
}

/** Codes that clients look for. */
const OPENAI_CODES: Partial<Record<ErrorCode, string>> = {
  ABORT_ERR: 'timeout',
  ERR_CONTEXT_OVERFLOW: 'context_length_exceeded',
}

/** The error in the body of a response, or in an event of a stream. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string }
}

export function toErrorBody(error: unknown): ErrorBody {
  const { status, message, param, code } = describe(error)
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  return { error: { message, type, param, code } }
}

export function toErrorResponse(error: unknown): Response {
  const { status, headers } = describe(error)
  return Response.json(toErrorBody(error), { status, headers })
}

function describe(error: unknown): Omit<RequestError, keyof Error> & { message: string } {
  if (error instanceof RequestError) return error
  if (!(error instanceof NodeMlxError)) {
    const message = 'internal error (please report it)'
    return { status: 500, code: 'ERR_INTERNAL', message, param: null, headers: {} }
  }
  const { code, details } = error
  const name = details?.['name']
  return {
    status: STATUS[code] ?? 500,
    code: OPENAI_CODES[code] ?? code,
    message: code === 'ABORT_ERR' ? 'the answer took longer than the server allows' : error.message,
    param: typeof name === 'string' ? name : null,
    // It will not fit the next time either.
    headers: code === 'ERR_INSUFFICIENT_MEMORY' ? { 'x-should-retry': 'false' } : {},
  }
}

/**
 * Names the field of the request that an error of a run is about. `fields` has the field of each option; a path goes on
 * behind it.
 */
export function renamed(error: unknown, fields: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof NodeMlxError)) return error
  const { code, message, details, cause } = error
  const given = typeof details?.['name'] === 'string' ? details['name'] : IMPLIED[code]
  if (given === undefined) return error
  const [option = ''] = /^\w+/u.exec(given) ?? []
  const name = `${fields[option] ?? option}${given.slice(option.length)}`
  const rest = message.startsWith(given) ? message.slice(given.length) : `: ${message}`
  return new NodeMlxError(code, `${name}${rest}`, { details: { ...details, name }, cause })
}

/** The options that errors without a name are about. */
const IMPLIED: Partial<Record<ErrorCode, string>> = {
  ERR_CHAT_TEMPLATE: 'prompt',
  ERR_CHAT_TEMPLATE_LIMIT: 'prompt',
  ERR_CONTEXT_OVERFLOW: 'prompt',
  ERR_GRAMMAR_UNSUPPORTED: 'schema',
  ERR_TOKENIZE_FAILED: 'prompt',
}
