// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import {
  devices,
  memoryUsage,
  setCacheLimit,
  setChatCacheLimit,
  setMemoryLimit,
  setThreads,
} from '../engine'
import { fromNative, invalidArgument, NodeMlxError } from '../errors'
import { downloadModel } from '../hub'
import { inspectModel, type InspectOptions } from '../inspect'
import { loadNative } from '../load'
import type { NativeGeneration, NativeModel, NativePrompt, NativeSlot } from '../native'
import { isRecord } from '../options'
import type { DownloadOptions, LoadOptions } from '../types'
import { listen, type AnyPort } from './port'
import { ROOT, type CallMessage, type ClientMessage, type NextReply } from './protocol'
import type { ServerMessage } from './protocol'

/** What a method gets besides its arguments. */
interface Context {
  signal: AbortSignal
  onProgress: ((progress: unknown) => void) | undefined
  ports: readonly AnyPort[]
  find(object: number): ServerObject | undefined
}

type Method = (args: readonly unknown[], context: Context) => unknown

/** A client may send anything: the functions called check their arguments, and so does the addon. */
function method<A extends readonly unknown[]>(call: (args: A, context: Context) => unknown): Method {
  return (args, context) => call(args as A, context)
}

/** An object that a client can use: only these methods, never the addon's object itself. */
class ServerObject {
  readonly methods: Readonly<Record<string, Method>>
  readonly drop: () => void
  /** What its client gets as the value of the call that made it. */
  readonly facts: unknown
  readonly slot: NativeSlot | undefined

  constructor({ methods, drop = () => {}, facts, slot }: Partial<ServerObject>) {
    this.methods = methods ?? {}
    this.drop = drop
    this.facts = facts
    this.slot = slot
  }
}

/** Gives the client at the other end of the port the use of the whole package. */
export function serve(port: AnyPort): void {
  new Session(port, library())
}

function library(): ServerObject {
  return new ServerObject({
    methods: {
      devices,
      memoryUsage,
      setCacheLimit: method(([bytes]: [number]) => setCacheLimit(bytes)),
      setChatCacheLimit: method(([bytes]: [number]) => setChatCacheLimit(bytes)),
      setMemoryLimit: method(([bytes]: [number]) => setMemoryLimit(bytes)),
      setThreads: method(([count]: [number]) => setThreads(count)),
      inspectModel: method(([id, options]: [string, InspectOptions], context) =>
        inspectModel(id, withCallbacks(options, context)),
      ),
      downloadModel: method(([id, options]: [string, DownloadOptions], context) =>
        downloadModel(id, withCallbacks(options, context)),
      ),
      loadModel: method(async ([id, options]: [string, LoadOptions], context) =>
        ownModel(await loadNative(id, withCallbacks(options, context))),
      ),
    },
  })
}

function withCallbacks<T extends object>(options: T, { signal, onProgress }: Context): T {
  return { ...options, signal, ...(onProgress !== undefined && { onProgress }) }
}

function ownModel(native: NativeModel): ServerObject {
  return new ServerObject({
    facts: facts(native),
    methods: {
      ...modelMethods(native),
      dispose: () => native.dispose(),
      share: (_, { ports: [port] }) => {
        if (port === undefined) throw invalidArgument('ports', 'expected a port')
        new Session(port, new ServerObject({ methods: { model: () => sharedModel(native) } }))
      },
    },
    drop: () => void native.dispose(),
  })
}

/** A model that belongs to another client. */
function sharedModel(native: NativeModel): ServerObject {
  return new ServerObject({
    facts: facts(native),
    methods: { ...modelMethods(native), dispose: () => {} },
  })
}

function facts(native: NativeModel): unknown {
  return { info: native.info(), specialTokens: native.specialTokens() }
}

function modelMethods(native: NativeModel): Record<string, Method> {
  return {
    generate: method(([prompt, options, slot]: [NativePrompt, string, number?], { find }) =>
      generation(native.generate(prompt, options, slot === undefined ? null : find(slot)?.slot)),
    ),
    slot: () => slotObject(native.slot()),
    encode: method((args: Parameters<NativeModel['encode']>) => native.encode(...args)),
    decode: method((args: Parameters<NativeModel['decode']>) => native.decode(...args)),
    applyChatTemplate: method((args: Parameters<NativeModel['applyChatTemplate']>) =>
      native.applyChatTemplate(...args),
    ),
  }
}

function generation(native: NativeGeneration): ServerObject {
  const next = async (): Promise<NextReply> => {
    const chunks = await native.next()
    return chunks === null ? { chunks, result: native.result() } : { chunks }
  }
  return new ServerObject({
    methods: { next, cancel: () => native.cancel() },
    drop: () => native.cancel(),
  })
}

function slotObject(slot: NativeSlot): ServerObject {
  return new ServerObject({
    slot,
    methods: { fork: () => slotObject(slot.fork()), free: () => slot.free() },
    drop: () => slot.free(),
  })
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
    listen(
      port,
      (message, ports) => {
        if (isRecord(message)) this.#receive(message as unknown as ClientMessage, ports)
      },
      () => this.#close(),
    )
  }

  #receive(message: ClientMessage, ports: readonly AnyPort[]): void {
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

  #start({ call, object, method, args, progress }: CallMessage, context: Pick<Context, 'ports' | 'signal'>): unknown {
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

  #close(): void {
    this.#closed = true
    for (const controller of this.#calls.values()) controller.abort()
    for (const object of this.#objects.values()) object.drop()
    this.#objects.clear()
  }

  #send(message: ServerMessage): void {
    if (!this.#closed) this.#port.postMessage(message)
  }
}
