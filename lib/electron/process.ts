// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'
import { NodeMlxError } from '../errors'
import { withoutUndefined } from '../options'
import { Connection, type CallOptions, type Link } from './connection'
import type { MainElectron, UtilityProcess } from './electron'
import { ROOT } from './protocol'

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

/** The process of a host. It is started when it is needed and does not run. */
export class HostProcess implements Link {
  current: Connection | undefined
  readonly #electron: MainElectron
  readonly #options: HostOptions
  readonly #settings = new Map<string, number>()
  #opening: Promise<Connection> | undefined
  #child: UtilityProcess | undefined
  #deaths: number[] = []
  #disposed = false

  constructor(electron: MainElectron, options: HostOptions) {
    this.#electron = electron
    this.#options = options
  }

  open(): Promise<Connection> {
    this.#opening ??= this.#start()
    return this.#opening
  }

  async call<T>(method: string, args?: readonly unknown[], options?: CallOptions): Promise<T> {
    const connection = await this.open()
    return connection.call<T>(ROOT, method, args, options)
  }

  /** Calls a method that sets a limit, which is set again whenever the process is started. */
  async set(method: string, value: number): Promise<number> {
    const previous = await this.call<number>(method, [value])
    this.#settings.set(method, value)
    return previous
  }

  async dispose(): Promise<void> {
    this.#disposed = true
    const child = this.#child
    if (child === undefined) return
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.kill()
    })
  }

  async #start(): Promise<Connection> {
    try {
      await this.#electron.app.whenReady()
      this.#checkLife()
      const connection = this.#fork()
      // Fails if the addon does not load.
      await connection.call(ROOT, 'devices')
      for (const [method, value] of this.#settings) await connection.call(ROOT, method, [value])
      this.current = connection
      return connection
    } catch (error) {
      this.#opening = undefined
      this.#child?.kill()
      throw error
    }
  }

  #checkLife(): void {
    if (this.#disposed) throw new NodeMlxError('ERR_INVALID_STATE', 'the host has been disposed')
    this.#deaths = this.#deaths.filter((time) => time > performance.now() - MINUTE_MS)
    const { maxRestarts = 3 } = this.#options
    if (this.#deaths.length <= maxRestarts) return
    throw new NodeMlxError(
      'ERR_PROCESS_GONE',
      `the process that runs the models died ${this.#deaths.length} times within a minute`,
    )
  }

  #fork(): Connection {
    const { env, serviceName = 'node-mlx' } = this.#options
    const options = withoutUndefined({ env, serviceName })
    const child = this.#electron.utilityProcess.fork(join(__dirname, 'entry.js'), [], options)
    const { port1, port2 } = new this.#electron.MessageChannelMain()
    // `exit` comes with a code, and so is awaited instead of the end of the channel.
    const connection = new Connection(port2, () => {})
    child.once('exit', (exitCode) => this.#onExit(connection, exitCode))
    child.postMessage(null, [port1])
    this.#child = child
    return connection
  }

  #onExit(connection: Connection, exitCode: number): void {
    this.#child = undefined
    this.#opening = undefined
    this.current = undefined
    const message = `the process that runs the models ended with code ${exitCode}`
    connection.close(new NodeMlxError('ERR_PROCESS_GONE', message, { details: { exitCode } }))
    if (this.#disposed) return
    this.#deaths.push(performance.now())
    this.#options.onExit?.({ exitCode })
  }
}
