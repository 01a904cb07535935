// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What this package uses of Electron, which is not among its dependencies.

import { NodeMlxError, type NodeMlxErrorJson } from '../errors'
import type { AnyPort } from './port'

export type { AnyPort }

/** Asks the main process for a port; the reply is an error, or `id` of the model that the port leads to. */
export const CONNECT = 'node-mlx:connect'

/** Brings a page its port. */
export const PORT = 'node-mlx:port'

/** The name of {@link PageBridge} in a page. */
export const BRIDGE = 'nodeMlx'

/** The reply to {@link CONNECT}. */
export type ConnectReply = { id: number; name: string } | { error: NodeMlxErrorJson }

/** What the preload script gives to a page. */
export interface PageBridge {
  connect(id?: number): Promise<ConnectReply>
}

/** The `IpcMainInvokeEvent` of Electron. */
export interface InvokeEvent {
  senderFrame: { postMessage(channel: string, message: unknown, transfer?: AnyPort[]): void } | null
}

/** The `WebContents` of Electron. */
export interface WebContentsLike {
  ipc: {
    handle(channel: string, listener: (event: InvokeEvent, ...args: unknown[]) => unknown): void
    removeHandler(channel: string): void
  }
}

/** The `UtilityProcess` of Electron. */
export interface UtilityProcess {
  postMessage(message: unknown, transfer?: AnyPort[]): void
  once(event: 'exit', listener: (exitCode: number) => void): unknown
  kill(): boolean
}

export interface ForkOptions {
  /** Environment variables. Default: those of the main process. */
  env?: Record<string, string | undefined> | undefined
  /** Name of the process in task managers. Default: `'node-mlx'`. */
  serviceName?: string | undefined
}

/** The part of Electron that its main process has. */
export interface MainElectron {
  app: { whenReady(): Promise<unknown> }
  utilityProcess: { fork(path: string, args: string[], options: ForkOptions): UtilityProcess }
  MessageChannelMain: new () => { port1: AnyPort; port2: AnyPort }
}

/** The part of Electron that a preload script has. */
export interface PreloadElectron {
  contextBridge: { exposeInMainWorld(name: string, api: unknown): void }
  ipcRenderer: {
    invoke(channel: string, ...args: unknown[]): Promise<unknown>
    on(channel: string, listener: (event: { ports: readonly AnyPort[] }) => void): unknown
  }
}

/** @throws ERR_INVALID_STATE outside the main process of Electron */
export function mainElectron(): MainElectron {
  try {
    // Elsewhere there is no such module, or it is the path of a program.
    const electron = require('electron') as Partial<MainElectron>
    if (electron.utilityProcess !== undefined) return electron as MainElectron
  } catch {}
  throw new NodeMlxError('ERR_INVALID_STATE', 'this needs the main process of Electron 22 or later')
}
