// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { isIP, type AddressInfo } from 'node:net'
import { promises, Readable } from 'node:stream'
import { invalidArgument } from '../errors'
import { checkOptions, SERVE_OPTIONS, toDelay } from '../options'
import { RequestError, toErrorResponse } from './errors'
import { createHandler, TEN_MINUTES } from './handler'
import type { ServeOptions, Server } from './types'

type WebStream = Parameters<typeof Readable.fromWeb>[0]

const PORT = 8080
const LIMITS = { headersTimeout: 10_000, requestTimeout: 60_000, maxHeaderSize: 16_384 }

/**
 * Listens for requests to OpenAI's API, and answers them as {@link createHandler} does.
 * @throws ERR_INVALID_ARG_VALUE, naming the option; or the error of the system, as of a port in use
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host = '127.0.0.1', port = PORT, ...rest } = checkOptions(options, SERVE_OPTIONS)
  const { apiKey, timeout = TEN_MINUTES } = rest
  if (apiKey === undefined && !isLoopback(host))
    throw invalidArgument(
      'host',
      `an apiKey is needed to listen at ${host}, which others can reach`,
    )
  const handler = createHandler(rest)
  const server = createServer(LIMITS, (request, response) => {
    void answer(request, response, async (fetched) => {
      // The name in a page of another site may lead to this machine.
      if (apiKey === undefined && !isLoopback(new URL(fetched.url).hostname))
        return toErrorResponse(new RequestError(403, 'forbidden', 'host: expected localhost'))
      return handler(fetched)
    })
  })
  // Of a connection on which nothing happens, as with a client that does not read.
  server.timeout = toDelay(timeout)
  server.listen(port, host)
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
    await handler.dispose()
  }
  const { address, port: actual } = server.address() as AddressInfo
  const url = `http://${isIP(address) === 6 ? `[${address}]` : address}:${actual}/v1`
  return { url, close, [Symbol.asyncDispose]: close }
}

/** Whether only this machine can reach a host. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/iu.test(host)
}

async function answer(
  message: IncomingMessage,
  out: ServerResponse,
  handler: (request: Request) => Promise<Response>,
): Promise<void> {
  const client = new AbortController()
  out.on('close', () => client.abort())
  try {
    const request = toRequest(message, client.signal)
    const { status, headers, body } = await handler(request)
    // Otherwise a client that is still sending would not get to read.
    request.body?.cancel().catch(() => {})
    out.writeHead(status, Object.fromEntries(headers))
    if (body === null) out.end()
    else await promises.pipeline(Readable.fromWeb(body as WebStream), out)
  } catch {
    // The client has gone, or has sent what is no request.
    out.destroy()
  }
}

function toRequest(message: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', headers } = message
  const pairs = Object.entries(headers).map(([name, value]): [string, string] => [
    name,
    String(value),
  ])
  const body = method === 'GET' || method === 'HEAD' ? null : toStream(message)
  const init = { method, headers: pairs, body, signal, duplex: 'half' as const }
  return new Request(`http://${headers.host ?? 'localhost'}${url}`, init)
}

/** What comes of a body that nobody reads any more is thrown away, so that the client gets its answer. */
function toStream(message: IncomingMessage): ReadableStream<Uint8Array> {
  let isWanted = true
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        message.pause()
        message.on('data', (chunk: Buffer) => {
          if (!isWanted) return
          controller.enqueue(chunk)
          message.pause()
        })
        message.on('end', () => isWanted && controller.close())
        message.on('error', (error) => isWanted && controller.error(error))
      },
      pull() {
        message.resume()
      },
      cancel() {
        isWanted = false
        message.resume()
      },
    },
    { highWaterMark: 0 },
  )
}
