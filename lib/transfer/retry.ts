// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { setTimeout as sleep } from 'node:timers/promises'
import { NodeMlxError } from '../errors'
import type { Server } from './request'

/** The usual number of retries. */
export const RETRIES = 5
const FIRST_PAUSE_MS = 300
const LONGEST_PAUSE_MS = 8000
/** No retry if the server asks for a longer wait. The Hugging Face Hub counts requests over this period. */
const LONGEST_RETRY_AFTER_S = 300

/** Decides after each failed attempt whether there is another one. */
export class Retries {
  readonly #server: Server
  #failures = 0

  constructor(server: Server) {
    this.#server = server
  }

  /** Forgets the failures, because an attempt got somewhere. */
  reset(): void {
    this.#failures = 0
  }

  /** Waits before the next attempt, longer each time, or as long as the server asked for. Throws the error if there is none. */
  async next(error: unknown): Promise<void> {
    const { retries, signal, isTransient } = this.#server
    if (!(error instanceof NodeMlxError)) throw error
    const asked = error.details?.['retryAfter'] as number | undefined
    const isSoon = asked === undefined || asked <= LONGEST_RETRY_AFTER_S
    if (this.#failures >= retries || !isSoon || !isTransient(error)) throw error
    const growing = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS)
    this.#failures += 1
    const ms = asked === undefined ? growing * (0.75 + Math.random() / 2) : asked * 1000
    await sleep(ms, undefined, { signal })
  }
}

/** Repeats a request that fails, as long as another attempt may succeed. */
export async function retrying<T>(server: Server, attempt: () => Promise<T>): Promise<T> {
  const retries = new Retries(server)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await retries.next(error)
    }
  }
}

/** Converts a `Retry-After` header, in seconds or as a date, to seconds from now. */
export function parseRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/u.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000)
}
