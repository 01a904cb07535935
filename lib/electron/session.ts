// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { fromNative, invalidArgument, NodeMlxError } from '../errors'
import { isRecord } from '../options'
import { listen, type AnyPort } from './port'
import { ROOT, type CallMessage, type ClientMessage, type ServerMessage } from './protocol'
import { ServerObject, type Context } from './server-object'

/** Lets the client at the other end of the port use an object, and those that its methods make. */
export function serveObject(port: AnyPort, root: ServerObject): void {
  const session = new Session(port, root)
  listen(
    port,
    (message, ports) => {
      if (isRecord(message)) session.receive(message as unknown as ClientMessage, ports)
    },
    () => session.close(),
  )
}

/** One client, and the objects that it uses. */
class Session {
  readonly #port: AnyPort
  readonly #objects: Map<number, ServerObject>
  readonly #calls = new Map<number, AbortController>()
  #closed = false

  constructor(port: AnyPort, root: ServerObject) {
    this.#port = port
    this.#objects = new Map([[ROOT, root]])
  }

  receive(message: ClientMessage, ports: readonly AnyPort[]): void {
    if ('abort' in message) this.#calls.get(message.abort)?.abort()
    else if ('drop' in message) this.#drop(message.drop)
    else void this.#call(message, ports)
  }

  async #call(message: CallMessage, ports: readonly AnyPort[]): Promise<void> {
    const { call } = message
    const controller = new AbortController()
    this.#calls.set(call, controller)
    try {
      const value = this.#start(message, { ports, signal: controller.signal })
      // Not awaited if it is there: the next message may use it.
      const made = value instanceof ServerObject ? value : await value
      if (made instanceof ServerObject) this.#keep(message.as, made)
      this.#send({ call, value: made instanceof ServerObject ? made.facts : made })
    } catch (error) {
      this.#send({ call, error: fromNative(error).toJSON() })
    } finally {
      this.#calls.delete(call)
    }
  }

  #start(
    { call, object, method, args, progress }: CallMessage,
    context: Pick<Context, 'ports' | 'signal'>,
  ): unknown {
    const target = this.#objects.get(object)
    if (target === undefined)
      throw new NodeMlxError('ERR_MODEL_DISPOSED', 'the model has been disposed')
    const run = Object.hasOwn(target.methods, method) ? target.methods[method] : undefined
    if (run === undefined) throw invalidArgument('method', `there is no '${String(method)}'`)
    return run(args, {
      ...context,
      onProgress: progress ? (value) => this.#send({ call, progress: value }) : undefined,
      find: (number) => this.#objects.get(number),
    })
  }

  #keep(number: number | undefined, object: ServerObject): void {
    if (this.#closed || number === undefined || this.#objects.has(number)) object.drop()
    else this.#objects.set(number, object)
  }

  #drop(number: number): void {
    if (number === ROOT) return
    this.#objects.get(number)?.drop()
    this.#objects.delete(number)
  }

  close(): void {
    this.#closed = true
    for (const controller of this.#calls.values()) controller.abort()
    for (const object of this.#objects.values()) object.drop()
    this.#objects.clear()
  }

  #send(message: ServerMessage): void {
    if (!this.#closed) this.#port.postMessage(message, [])
  }
}
