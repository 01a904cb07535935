// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { NativeSlot } from '../native'
import type { AnyPort } from './port'

/** What a method gets besides its arguments. */
export interface Context {
  signal: AbortSignal
  onProgress: ((progress: unknown) => void) | undefined
  ports: readonly AnyPort[]
  find(object: number): ServerObject | undefined
}

export type Method = (args: readonly unknown[], context: Context) => unknown

/** A client may send anything: the functions called check their arguments, and so does the addon. */
export function method<A extends readonly unknown[]>(
  call: (args: A, context: Context) => unknown,
): Method {
  return (args, context) => call(args as A, context)
}

/** An object that a client can use: only these methods, never the addon's object itself. */
export class ServerObject {
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
