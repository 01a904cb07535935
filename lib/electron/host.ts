// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { join } from 'node:path'
import { fromNative, invalidArgument, NodeMlxError } from '../errors'
import type { InspectOptions, ModelInspection } from '../inspect'
import { Model } from '../model'
import {
  checkOptions,
  DOWNLOAD_OPTIONS,
  HOST_OPTIONS,
  INSPECT_OPTIONS,
  LOAD_OPTIONS,
  withoutUndefined,
  type Table,
} from '../options'
import { checkIdOrPath } from '../paths'
import type { DownloadOptions, LoadOptions, MemoryUsage } from '../types'
import { Connection, type CallOptions, type Link } from './connection'
import {
  CONNECT,
  mainElectron,
  PORT,
  type ConnectReply,
  type InvokeEvent,
  type MainElectron,
  type UtilityProcess,
  type WebContentsLike,
} from './electron'
import { ROOT, type ModelFacts } from './protocol'
import { RemoteModel } from './remote'

const MINUTE_MS = 60_000

/** Options of `startHost`. */
export interface HostOptions {
  /** Environment variables of the process. Default: those of the main process. */
  env?: Readonly<Record<string, string>> | undefined
  /** Name of the process in task managers. Default `'node-mlx'`. */
  serviceName?: string | undefined
  /** How often within a minute the process is started again if it dies. Default 3. */
  maxRestarts?: number | undefined
  /** Called when the process has died. `dispose` does not count. */
  onExit?: ((exit: { exitCode: number }) => void) | undefined
}

/**
 * Starts a utilityProcess that runs models, so that neither the main process nor a page has to. Waits until the app is
 * ready.
 *
 * @throws ERR_INVALID_STATE outside the main process of Electron, ERR_BINARY_MISSING, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE, or ERR_PROCESS_GONE
 */
export async function startHost(options: HostOptions = {}): Promise<Host> {
  checkOptions(options, HOST_OPTIONS)
  const host = new Host(mainElectron(), options)
  await host.devices()
  return host
}

/**
 * A utilityProcess that runs models, as the main process uses it.
 *
 * If the process dies, all that it was doing fails with ERR_PROCESS_GONE. The models and chats of this host can still
 * be used: the next call starts the process again and loads the model again, with the same options, from the same
 * folder or revision. Chats keep their messages and lose their caches; limits that were set are set again.
 */
export class Host {
  readonly #electron: MainElectron
  readonly #options: HostOptions
  readonly #models = new WeakMap<Model, RemoteModel>()
  readonly #settings = new Map<string, number>()
  readonly #link: Link & { current: Connection | undefined }
  #opening: Promise<Connection> | undefined
  #child: UtilityProcess | undefined
  #deaths: number[] = []
  #lastId = 0
  #disposing: Promise<void> | undefined

  /** @internal Made by `startHost`. */
  constructor(electron: MainElectron, options: HostOptions) {
    this.#electron = electron
    this.#options = options
    this.#link = { current: undefined, open: () => this.#open() }
  }

  /** Loads a model in the process, as `loadModel` does. */
  async loadModel(idOrPath: string, options: LoadOptions = {}): Promise<Model> {
    const { args, call } = toCall(idOrPath, options, LOAD_OPTIONS)
    const make = (connection: Connection, callOptions: CallOptions): Promise<ModelFacts> =>
      connection.call(ROOT, 'loadModel', args, callOptions)
    const remote = await RemoteModel.load(this.#link, make, call)
    const model = new Model(idOrPath, remote)
    this.#models.set(model, remote)
    return model
  }

  /** As the function `inspectModel`. */
  async inspectModel(idOrPath: string, options: InspectOptions = {}): Promise<ModelInspection> {
    const { args, call } = toCall(idOrPath, options, INSPECT_OPTIONS)
    return this.#call('inspectModel', args, call)
  }

  /** As the function `downloadModel`. */
  async downloadModel(id: string, options: DownloadOptions = {}): Promise<string> {
    const { args, call } = toCall(id, options, DOWNLOAD_OPTIONS)
    return this.#call('downloadModel', args, call)
  }

  /** As the function `devices`. */
  devices(): Promise<string[]> {
    return this.#call('devices')
  }

  /** As the function `memoryUsage`. */
  memoryUsage(): Promise<MemoryUsage> {
    return this.#call('memoryUsage')
  }

  /** As the function `setMemoryLimit`. */
  setMemoryLimit(bytes: number): Promise<number> {
    return this.#set('setMemoryLimit', bytes)
  }

  /** As the function `setCacheLimit`. */
  setCacheLimit(bytes: number): Promise<number> {
    return this.#set('setCacheLimit', bytes)
  }

  /** As the function `setChatCacheLimit`. */
  setChatCacheLimit(bytes: number): Promise<number> {
    return this.#set('setChatCacheLimit', bytes)
  }

  /** As the function `setThreads`. */
  setThreads(count: number): Promise<number> {
    return this.#set('setThreads', count)
  }

  /**
   * Lets the page of `webContents` use a model, and nothing else of this host: there, `connectModel` of
   * `node-mlx/electron/renderer` returns it. The page needs the preload script. It may be reloaded. Call this before
   * the page asks for the model, and again to give it another one.
   * @throws ERR_INVALID_ARG_VALUE if the model is not of this host
   */
  connect(webContents: WebContentsLike, model: Model): void {
    const remote = this.#models.get(model)
    if (remote === undefined) throw invalidArgument('model', 'expected a model of this host')
    this.#lastId += 1
    const id = this.#lastId
    const onConnect = async (event: InvokeEvent, wanted: unknown): Promise<ConnectReply> => {
      try {
        if (wanted !== undefined && wanted !== id)
          throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the page was given another model')
        const { port1, port2 } = new this.#electron.MessageChannelMain()
        await remote.call('share', [], { transfer: [port1] })
        event.senderFrame?.postMessage(PORT, null, [port2])
        return { id, name: model.id }
      } catch (error) {
        return { error: fromNative(error).toJSON() }
      }
    }
    webContents.ipc.removeHandler(CONNECT)
    webContents.ipc.handle(CONNECT, onConnect)
  }

  /** Ends the process. Active runs fail with ERR_PROCESS_GONE. Further calls have no effect. */
  dispose(): Promise<void> {
    this.#disposing ??= new Promise((resolve) => {
      if (this.#child === undefined) return resolve()
      this.#child.once('exit', () => resolve())
      this.#child.kill()
    })
    return this.#disposing
  }

  /** Same as {@link Host.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  async #call<T>(method: string, args?: readonly unknown[], options?: CallOptions): Promise<T> {
    const connection = await this.#open()
    return connection.call<T>(ROOT, method, args, options)
  }

  async #set(method: string, value: number): Promise<number> {
    const previous = await this.#call<number>(method, [value])
    this.#settings.set(method, value)
    return previous
  }

  #open(): Promise<Connection> {
    this.#opening ??= this.#start()
    return this.#opening
  }

  async #start(): Promise<Connection> {
    try {
      await this.#electron.app.whenReady()
      this.#checkLife()
      const connection = this.#fork()
      // Whether the addon loads shows here.
      await connection.call(ROOT, 'devices')
      for (const [method, value] of this.#settings) await connection.call(ROOT, method, [value])
      this.#link.current = connection
      return connection
    } catch (error) {
      this.#opening = undefined
      this.#child?.kill()
      throw error
    }
  }

  #fork(): Connection {
    const { env, serviceName = 'node-mlx' } = this.#options
    const options = withoutUndefined({ env, serviceName })
    const child = this.#electron.utilityProcess.fork(join(__dirname, 'entry.js'), [], options)
    const { port1, port2 } = new this.#electron.MessageChannelMain()
    const connection = new Connection(port2, () => {})
    child.once('exit', (exitCode) => {
      this.#onExit(connection, exitCode)
    })
    child.postMessage(null, [port1])
    this.#child = child
    return connection
  }

  #onExit(connection: Connection, exitCode: number): void {
    this.#child = undefined
    this.#opening = undefined
    this.#link.current = undefined
    connection.close(gone(`the process that runs the models ended with code ${exitCode}`, exitCode))
    if (this.#disposing !== undefined) return
    this.#deaths.push(performance.now())
    this.#options.onExit?.({ exitCode })
  }

  #checkLife(): void {
    if (this.#disposing !== undefined)
      throw new NodeMlxError('ERR_INVALID_STATE', 'the host has been disposed')
    this.#deaths = this.#deaths.filter((time) => time > performance.now() - MINUTE_MS)
    const { maxRestarts = 3 } = this.#options
    if (this.#deaths.length <= maxRestarts) return
    throw gone(`the process that runs the models died ${this.#deaths.length} times within a minute`)
  }
}

/** Checks options, and separates what cannot cross a port. */
function toCall<T extends Pick<CallOptions, 'onProgress' | 'signal'>>(
  id: string,
  options: T,
  table: Table,
): { args: unknown[]; call: CallOptions } {
  checkOptions(options, table)
  checkIdOrPath(id)
  const { onProgress, signal, ...rest } = options
  return { args: [id, rest], call: { onProgress, signal } }
}

function gone(message: string, exitCode?: number): NodeMlxError {
  return new NodeMlxError('ERR_PROCESS_GONE', message, {
    ...(exitCode !== undefined && { details: { exitCode } }),
  })
}
