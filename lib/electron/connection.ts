// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { abortError, fromNative, type NodeMlxError } from '../errors'
import { onAbort } from '../signals'
import { listen, type AnyPort } from './port'
import type { ClientMessage, ServerMessage } from './protocol'

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
  onProgress?: ((progress: never) => void) | undefined
}

export interface CallOptions {
  onProgress?: ((progress: never) => void) | undefined
  signal?: AbortSignal | undefined
  /** Ports to send along. */
  transfer?: AnyPort[]
  /** The number of the object that the method returns. */
  as?: number
}

/** Finds the process that runs the models, and starts it if need be. */
export interface Link {
  open(): Promise<Connection>
  /** The connection that is open, if one is. */
  readonly current: Connection | undefined
}

/** The client's end of a channel. */
export class Connection {
  readonly #port: AnyPort
  readonly #pending = new Map<number, Pending>()
  readonly #dropped = new FinalizationRegistry<number>((drop) => this.#send({ drop }))
  #lastCall = 0
  #lastObject = 0
  #closed: NodeMlxError | undefined

  /** `onClose` is called when the other side closes the channel. */
  constructor(port: AnyPort, onClose: () => void) {
    this.#port = port
    listen(port, (message) => this.#receive(message as ServerMessage), onClose)
  }

  /** Calls a method. An exception of `onProgress` cancels the call, which rejects with it. */
  async call<T>(
    object: number,
    method: string,
    args: readonly unknown[] = [],
    { onProgress, signal, transfer, as }: CallOptions = {},
  ): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed
    if (signal?.aborted) throw abortError(signal.reason)
    this.#lastCall += 1
    const call = this.#lastCall
    const reply = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(call, { resolve, reject, onProgress })
    })
    const forgetSignal = onAbort(signal, () => this.#giveUp(call, abortError(signal?.reason)))
    const progress = onProgress !== undefined
    const message = { call, object, method, args, progress, ...(as !== undefined && { as }) }
    try {
      this.#send(message, transfer)
      return (await reply) as T
    } finally {
      forgetSignal()
      this.#pending.delete(call)
    }
  }

  /** The number for a new object, which the other side drops when `owner` is garbage-collected. */
  number(owner: object): number {
    this.#lastObject += 1
    this.#dropped.register(owner, this.#lastObject)
    return this.#lastObject
  }

  /** Rejects all calls, now and later. */
  close(error: NodeMlxError): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    this.#port.close()
    for (const { reject } of this.#pending.values()) reject(error)
  }

  #receive(message: ServerMessage): void {
    const pending = this.#pending.get(message.call)
    if ('error' in message) pending?.reject(fromNative(message.error))
    else if ('value' in message) pending?.resolve(message.value)
    else {
      try {
        pending?.onProgress?.(message.progress as never)
      } catch (error) {
        this.#giveUp(message.call, error)
      }
    }
  }

  #giveUp(call: number, error: unknown): void {
    this.#send({ abort: call })
    this.#pending.get(call)?.reject(error)
  }

  #send(message: ClientMessage, transfer: AnyPort[] = []): void {
    if (this.#closed === undefined) this.#port.postMessage(message, transfer)
  }
}
