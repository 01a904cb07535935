// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createHash, timingSafeEqual } from 'node:crypto'
import { invalidArgument } from '../errors'
import { checkOptions, HANDLER_OPTIONS } from '../options'
import { readJson } from './body'
import { ENDPOINTS } from './endpoints'
import { RequestError, toErrorResponse } from './errors'
import { Fields } from './fields'
import { Models } from './models'
import { TimeLimit } from './time-limit'
import type { Handler, HandlerOptions } from './types'

/** How long a request may take. */
export const TEN_MINUTES = 600_000
const MB = 1_000_000

/**
 * Makes a handler of requests to OpenAI's API, as routes of Next.js, Hono, Bun, Deno and others take it: GET models, POST
 * chat/completions, completions, responses and embeddings, all below a path that ends with /v1.
 *
 * A client that leaves stops its run. Never rejects.
 *
 * @throws ERR_INVALID_ARG_VALUE, naming the option
 */
export function createHandler(options: HandlerOptions): Handler {
  const checked = checkOptions(options, HANDLER_OPTIONS)
  const { apiKey, maxBodySize = 10 * MB, timeout = TEN_MINUTES } = checked
  // A variable that is not set, most likely: it must not open the door.
  if (apiKey === '') throw invalidArgument('apiKey', 'must not be empty')
  const models = new Models(checked)

  const answer = async (request: Request): Promise<Response> => {
    if (apiKey !== undefined) authorize(request, apiKey)
    const [, path = ''] = /.*\/v1\/(.*?)\/?$/u.exec(pathOf(request)) ?? []
    if (/^models(?:\/|$)/u.test(path)) {
      allow(request, 'GET')
      return Response.json(path === 'models' ? models.list() : models.describe(path.slice(7)))
    }
    const endpoint = Object.hasOwn(ENDPOINTS, path) ? ENDPOINTS[path] : undefined
    if (endpoint === undefined)
      throw new RequestError(404, 'not_found', `there is no ${pathOf(request)}`)
    allow(request, 'POST')
    const limit = new TimeLimit(request, timeout)
    try {
      const body = new Fields('', await readJson(request, maxBodySize, limit.signal))
      return await endpoint(
        body,
        (task) => models.run(task, limit),
        (task) => models.embed(task, limit),
      )
    } finally {
      limit.release()
    }
  }

  const dispose = (): Promise<void> => models.dispose()
  const handler = (request: Request): Promise<Response> => answer(request).catch(toErrorResponse)
  return Object.assign(handler, { dispose, [Symbol.asyncDispose]: dispose })
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function pathOf({ url }: Request): string {
  const { pathname } = new URL(url)
  try {
    // Names of models have slashes, which clients escape.
    return decodeURIComponent(pathname)
  } catch {
    return pathname
  }
}

function authorize(request: Request, apiKey: string): void {
  const [, given = ''] = /^Bearer (.+)$/iu.exec(request.headers.get('authorization') ?? '') ?? []
  // The time of comparing digests tells nothing of the key.
  if (timingSafeEqual(digest(given), digest(apiKey))) return
  const headers = { 'www-authenticate': 'Bearer' }
  throw new RequestError(401, 'invalid_api_key', 'the API key is missing or wrong', null, headers)
}

function allow(request: Request, method: string): void {
  if (request.method === method) return
  const message = `expected ${method}, got ${request.method}`
  throw new RequestError(405, 'method_not_allowed', message, null, { allow: method })
}
