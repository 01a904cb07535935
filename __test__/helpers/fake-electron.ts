// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What lib/electron uses of Electron, with Node's message channels and all in one process.

import { once } from 'node:events'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { vi } from 'vitest'
import type {
  ConnectReply,
  InvokeEvent,
  MainElectron,
  WebContentsLike,
} from '../../lib/electron/electron'
import { Host } from '../../lib/electron/host'
import { connectModel } from '../../lib/electron/page'
import type { HostOptions } from '../../lib/electron/process'
import { serve } from '../../lib/electron/server'
import type { Model } from '../../lib'

class Child {
  port: MessagePort | undefined
  readonly #onExit: ((exitCode: number) => void)[] = []

  once(_: 'exit', listener: (exitCode: number) => void): void {
    this.#onExit.push(listener)
  }

  postMessage(_: unknown, [port]: MessagePort[]): void {
    this.port = port
    if (port !== undefined) serve(port as never)
  }

  kill(): boolean {
    this.die(15)
    return true
  }

  /** As a process that crashes: nobody hears from it any more. */
  die(exitCode: number): void {
    this.port?.close()
    for (const listener of this.#onExit) listener(exitCode)
  }
}

/** A host, and the processes that it has started, the last one first. */
export function fakeHost(options: HostOptions = {}): { host: Host; children: Child[] } {
  const children: Child[] = []
  const fork = (): Child => {
    children.unshift(new Child())
    return children[0] as Child
  }
  const electron = {
    app: { whenReady: async () => {} },
    utilityProcess: { fork },
    MessageChannelMain: MessageChannel,
  } as unknown as MainElectron
  return { host: new Host(electron, options), children }
}

type Handler = (event: InvokeEvent, ...args: unknown[]) => Promise<ConnectReply>

interface FakePage {
  contents: WebContentsLike
  connectModel: () => Promise<Model>
  /** Gets a port to the model, without what the page's side does with it. */
  requestPort: () => Promise<MessagePort>
}

/** A page with its `webContents`. */
export function fakePage(): FakePage {
  const target = new EventTarget()
  let handler: Handler | undefined
  const contents: WebContentsLike = {
    ipc: {
      handle: (_, listener) => {
        handler = listener as Handler
      },
      removeHandler: () => {
        handler = undefined
      },
    },
  }
  const senderFrame = {
    postMessage: (data: unknown, _: unknown, ports: unknown[]) => {
      target.dispatchEvent(Object.assign(new Event('message'), { data, source: globalThis, ports }))
    },
  } as unknown as InvokeEvent['senderFrame']
  vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
  vi.stubGlobal('nodeMlx', {
    connect: async (id?: number) => {
      if (handler === undefined) throw new Error('No handler registered')
      return handler({ senderFrame }, id)
    },
  })
  const requestPort = async (): Promise<MessagePort> => {
    const arrival = once(target, 'message') as Promise<[{ ports: [MessagePort] }]>
    await handler?.({ senderFrame })
    const [{ ports }] = await arrival
    return ports[0]
  }
  return { contents, connectModel, requestPort }
}
