// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readable } from './options'

interface Listener {
  callbacks: Set<() => void>
  listener: () => void
}

// One listener per signal: Node warns of a leak if the runs that share a signal add more than ten.
const listeners = new WeakMap<AbortSignal, Listener>()

/** Calls `callback` when the signal is aborted. Returns a function that removes the callback. */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => {}
  const { callbacks, listener } = listeners.get(signal) ?? readable('signal', () => listen(signal))
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
    if (callbacks.size > 0) return
    listeners.delete(signal)
    signal.removeEventListener('abort', listener)
  }
}

/** Settles like `promise`, or rejects with the signal's reason if it is aborted first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const forgetSignal = onAbort(signal, () => reject(signal.reason as Error))
    if (signal.aborted) reject(signal.reason as Error)
    promise.then(resolve, reject).finally(forgetSignal)
  })
}

function listen(signal: AbortSignal): Listener {
  const callbacks = new Set<() => void>()
  const listener = (): void => callbacks.forEach((callback) => callback())
  signal.addEventListener('abort', listener, { once: true })
  listeners.set(signal, { callbacks, listener })
  return { callbacks, listener }
}
