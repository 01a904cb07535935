// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { fromNative, invalidArgument, NodeMlxError } from '../errors'
import type { InspectOptions, ModelInspection } from '../inspect'
import { Model } from '../model'
import {
  checkOptions,
  DOWNLOAD_OPTIONS,
  HOST_OPTIONS,
  INSPECT_OPTIONS,
  LOAD_OPTIONS,
  type Table,
} from '../options'
import { checkIdOrPath } from '../paths'
import type { DownloadOptions, LoadOptions, MemoryUsage } from '../types'
import type { CallOptions } from './connection'
import {
  CONNECT,
  mainElectron,
  PORT,
  type AnyPort,
  type ConnectReply,
  type InvokeEvent,
  type MainElectron,
  type WebContentsLike,
} from './electron'
import { HostProcess, type HostOptions } from './process'
import { RemoteModel } from './remote-model'

/**
 * Starts a utilityProcess that runs models, so that neither the main process nor a page has to. Waits until the app is
 * ready.
 *
 * @throws ERR_INVALID_STATE outside the main process of Electron, ERR_BINARY_MISSING, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE, or ERR_PROCESS_GONE
 */
export async function startHost(options: HostOptions = {}): Promise<Host> {
  const checked = checkOptions(options, HOST_OPTIONS)
  const host = new Host(mainElectron(), checked)
  await host.devices()
  return host
}

/**
 * A utilityProcess that runs models, as the main process uses it.
 *
 * If the process dies, all that it was doing fails with ERR_PROCESS_GONE. The models and chats of this host can still
 * be used: the next call starts the process again and loads the model again, with the same options. Chats keep their
 * messages and lose their caches; limits that were set are set again.
 */
export class Host {
  readonly #electron: MainElectron
  readonly #process: HostProcess
  readonly #models = new WeakMap<Model, RemoteModel>()
  #lastId = 0

  /** @internal Made by `startHost`. */
  constructor(electron: MainElectron, options: HostOptions) {
    this.#electron = electron
    this.#process = new HostProcess(electron, options)
  }

  /** Loads a model in the process, as `loadModel` does. */
  async loadModel(idOrPath: string, options: LoadOptions = {}): Promise<Model> {
    const [args, callOptions] = toCall(idOrPath, options, LOAD_OPTIONS)
    const load = ['loadModel', args] as const
    const remote = await RemoteModel.load(this.#process, load, callOptions)
    const model = new Model(idOrPath, remote)
    this.#models.set(model, remote)
    return model
  }

  /** As the function `inspectModel`. */
  async inspectModel(idOrPath: string, options: InspectOptions = {}): Promise<ModelInspection> {
    return this.#process.call('inspectModel', ...toCall(idOrPath, options, INSPECT_OPTIONS))
  }

  /** As the function `downloadModel`. */
  async downloadModel(id: string, options: DownloadOptions = {}): Promise<string> {
    return this.#process.call('downloadModel', ...toCall(id, options, DOWNLOAD_OPTIONS))
  }

  /** As the function `devices`. */
  devices(): Promise<string[]> {
    return this.#process.call('devices')
  }

  /** As the function `memoryUsage`. */
  memoryUsage(): Promise<MemoryUsage> {
    return this.#process.call('memoryUsage')
  }

  /** As the function `setMemoryLimit`. */
  setMemoryLimit(bytes: number): Promise<number> {
    return this.#process.set('setMemoryLimit', bytes)
  }

  /** As the function `setCacheLimit`. */
  setCacheLimit(bytes: number): Promise<number> {
    return this.#process.set('setCacheLimit', bytes)
  }

  /** As the function `setChatCacheLimit`. */
  setChatCacheLimit(bytes: number): Promise<number> {
    return this.#process.set('setChatCacheLimit', bytes)
  }

  /** As the function `setThreads`. */
  setThreads(count: number): Promise<number> {
    return this.#process.set('setThreads', count)
  }

  /**
   * Lets the page of `webContents` use a model, and nothing else of this host: there, `connectModel` of
   * `node-mlx/electron/renderer` returns it, once it is loaded. The page needs the preload script. It may be reloaded.
   * Call this before the page asks for the model, and again to give it another one.
   *
   * @param model a model of this host, or a promise of one, whose error the page gets if it fails. Where it is not of
   *   this host, the page gets ERR_INVALID_ARG_VALUE
   */
  connect(webContents: WebContentsLike, model: Model | PromiseLike<Model>): void {
    this.#lastId += 1
    const id = this.#lastId
    const loading = Promise.resolve(model)
    loading.catch(() => {})
    const onConnect = async (event: InvokeEvent, wanted: unknown): Promise<ConnectReply> => {
      try {
        if (wanted !== undefined && wanted !== id)
          throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the page was given another model')
        const loaded = await loading
        const remote = this.#models.get(loaded)
        if (remote === undefined) throw invalidArgument('model', 'expected a model of this host')
        const port = await this.#share(remote).catch((error: unknown) => {
          // A page may hear of the end of the process before the main process does.
          if (error instanceof NodeMlxError && error.code === 'ERR_PROCESS_GONE')
            return this.#share(remote)
          throw error
        })
        event.senderFrame?.postMessage(PORT, null, [port])
        return { id, name: loaded.id }
      } catch (error) {
        return { error: fromNative(error).toJSON() }
      }
    }
    webContents.ipc.removeHandler(CONNECT)
    webContents.ipc.handle(CONNECT, onConnect)
  }

  /** Ends the process. Active runs fail with ERR_PROCESS_GONE. Further calls have no effect. */
  dispose(): Promise<void> {
    return this.#process.dispose()
  }

  /** Same as {@link Host.dispose}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Returns a new port to a model. */
  async #share(remote: RemoteModel): Promise<AnyPort> {
    const { port1, port2 } = new this.#electron.MessageChannelMain()
    await remote.call('share', [], { transfer: [port1] })
    return port2
  }
}

/** Checks options, and separates what cannot cross a port. */
function toCall<T extends Pick<CallOptions, 'onProgress' | 'signal'>>(
  id: string,
  options: T,
  table: Table,
): [args: unknown[], CallOptions] {
  const checked = checkOptions(options, table) as T
  checkIdOrPath(id)
  const { onProgress, signal, ...rest } = checked
  return [[id, rest], { onProgress, signal }]
}
