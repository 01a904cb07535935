// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a page runs. It uses nothing of Node.

import { fromNative, NodeMlxError } from '../errors'
import { Model } from '../model'
import { Connection, type Link } from './connection'
import { BRIDGE, PORT, type PageBridge } from './electron'
import type { AnyPort } from './port'
import { RemoteModel } from './remote-model'

interface Page {
  [BRIDGE]?: PageBridge
  addEventListener(
    type: 'message',
    listener: (event: PageMessage) => void,
    options: { signal: AbortSignal },
  ): void
}

interface PageMessage {
  data: unknown
  source: unknown
  ports: readonly AnyPort[]
}

const page = globalThis as unknown as Page

/**
 * Returns the model that the main process has connected this page to, with `host.connect(webContents, model)`. It has
 * the same methods as in Node. Its `dispose` frees nothing: it only refuses further calls of this page. If the process
 * that runs the model dies, runs fail with ERR_PROCESS_GONE, and the next one starts it again.
 *
 * @throws ERR_INVALID_STATE if the preload script did not run, or if the page is not connected;
 *   ERR_MODEL_DISPOSED; ERR_PROCESS_GONE; or what `loadModel` throws where the model must be loaded again
 */
export async function connectModel(): Promise<Model> {
  const link = new PageLink()
  const remote = await RemoteModel.load(link, ['model', []])
  return new Model(link.name, remote)
}

class PageLink implements Link {
  current: Connection | undefined
  name = ''
  #id: number | undefined
  #opening: Promise<Connection> | undefined

  async open(): Promise<Connection> {
    if (this.current !== undefined) return this.current
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Connection> {
    const { id, name, port } = await requestPort(this.#id)
    this.#id = id
    this.name = name
    const connection = new Connection(port, () => {
      this.current = undefined
      connection.close(new NodeMlxError('ERR_PROCESS_GONE', 'the process that ran the model ended'))
    })
    this.current = connection
    return connection
  }
}

interface Reply {
  id: number
  name: string
  port: AnyPort
}

// One request at a time: ports do not say which one they answer.
let last: Promise<unknown> = Promise.resolve()

async function requestPort(id?: number): Promise<Reply> {
  const request = last.then(() => requestNow(id))
  last = request.catch(() => {})
  return request
}

async function requestNow(id?: number): Promise<Reply> {
  const bridge = page[BRIDGE]
  if (bridge === undefined)
    throw invalidState("the page has no preload script of 'node-mlx/electron/preload'")
  const controller = new AbortController()
  const arrival = nextPort(controller.signal)
  try {
    const reply = await bridge.connect(id).catch((error: unknown) => {
      throw invalidState(`host.connect() was not called for this page (${String(error)})`)
    })
    if ('error' in reply) throw fromNative(reply.error)
    return { ...reply, port: await arrival }
  } finally {
    controller.abort()
  }
}

function nextPort(signal: AbortSignal): Promise<AnyPort> {
  return new Promise((resolve) => {
    const onMessage = ({ data, source, ports: [port] }: PageMessage): void => {
      if (data === PORT && source === page && port !== undefined) resolve(port)
    }
    page.addEventListener('message', onMessage, { signal })
  })
}

function invalidState(message: string): NodeMlxError {
  return new NodeMlxError('ERR_INVALID_STATE', message)
}
