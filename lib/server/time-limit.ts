// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { toDelay } from '../options'
import { onAbort } from '../signals'

/**
 * A signal that is aborted when a request is, or after some time. It lives until everybody who has kept it has released it:
 * the handler, and the run that goes on while its answer is streamed.
 */
export class TimeLimit {
  readonly #controller = new AbortController()
  /** Held, since a request that is garbage-collected does not abort its signal any more. */
  readonly #request: Request
  readonly #timer: NodeJS.Timeout
  readonly #forgetSignal: () => void
  #holders = 1

  constructor(request: Request, milliseconds: number) {
    const abort = (): void => this.#controller.abort()
    this.#request = request
    this.#timer = setTimeout(abort, toDelay(milliseconds))
    this.#forgetSignal = onAbort(request.signal, abort)
    if (this.#request.signal.aborted) abort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  keep(): void {
    this.#holders += 1
  }

  release(): void {
    this.#holders -= 1
    if (this.#holders > 0) return
    clearTimeout(this.#timer)
    this.#forgetSignal()
  }
}
