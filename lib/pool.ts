// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Models that are loaded when they are first used, and unloaded once they have been idle for a while.

import { abortError, NodeMlxError } from './errors'
import type { Generation } from './generation'
import { loadModel } from './load'
import type { Model } from './model'
import { checkOptions, POOL_OPTIONS, toDelay } from './options'
import { orAborted } from './signals'
import type { LoadOptions } from './types'

const FIVE_MINUTES = 300_000

/** How models are loaded and unloaded. */
export interface PoolOptions {
  /** Options for loading the models. */
  load?: Omit<LoadOptions, 'onProgress' | 'signal'> | undefined
  /**
   * Milliseconds after which a model that has no runs is unloaded; `Infinity` keeps it. Default 300,000. If another model
   * does not fit into memory, idle ones are unloaded at once.
   */
  idleTimeout?: number | undefined
}

/** A run of a model, which stays loaded until the run has ended. */
export interface PooledRun {
  model: Model
  generation: Generation
}

interface Entry {
  loading: Promise<Model>
  isLoaded: boolean
  users: number
  /** When it was last in use; later ones have larger numbers. */
  lastUse: number
  timer?: NodeJS.Timeout
}

export class ModelPool {
  readonly #load: PoolOptions['load']
  readonly #idleTimeout: number
  readonly #entries = new Map<string, Entry>()
  /** Loads and unloads take turns, so that each sees the memory that the one before it has left. */
  #turn: Promise<unknown> = Promise.resolve()
  #uses = 0

  constructor(options: PoolOptions = {}) {
    checkOptions(options, POOL_OPTIONS)
    const { load, idleTimeout = FIVE_MINUTES } = options
    this.#load = load
    this.#idleTimeout = idleTimeout
  }

  /**
   * Starts a run, and waits until it has a first chunk or an error, with which this rejects.
   * @throws what `loadModel` and the run throw
   */
  async run(
    target: string | Model,
    start: (model: Model) => Generation,
    signal?: AbortSignal,
  ): Promise<PooledRun> {
    const { model, release } = await this.#acquire(target, signal)
    const generation = start(model)
    void generation.then(release, release)
    await generation[Symbol.asyncIterator]().next()
    return { model, generation }
  }

  /** Unloads all models, until they are used again; their runs fail with ERR_MODEL_DISPOSED. */
  async dispose(): Promise<void> {
    await Promise.allSettled([...this.#entries].map(([id, entry]) => this.#unload(id, entry)))
  }

  async #acquire(
    target: string | Model,
    signal: AbortSignal | undefined,
  ): Promise<{ model: Model; release: () => void }> {
    if (typeof target !== 'string') return { model: target, release: () => {} }
    const entry = this.#entries.get(target) ?? this.#add(target)
    entry.users += 1
    clearTimeout(entry.timer)
    const release = (): void => this.#release(target, entry)
    try {
      const { loading } = entry
      return { model: await (signal ? orAborted(loading, signal) : loading), release }
    } catch (error) {
      release()
      throw signal?.aborted ? abortError(signal.reason) : error
    }
  }

  #add(id: string): Entry {
    const loading = this.#inTurn(() => this.#loadModel(id))
    const entry: Entry = { loading, isLoaded: false, users: 0, lastUse: 0 }
    this.#entries.set(id, entry)
    loading.then(
      () => (entry.isLoaded = true),
      () => this.#entries.get(id) === entry && this.#entries.delete(id),
    )
    return entry
  }

  #release(id: string, entry: Entry): void {
    entry.users -= 1
    this.#uses += 1
    entry.lastUse = this.#uses
    if (entry.users > 0 || this.#idleTimeout === Infinity) return
    const unload = (): void => {
      void this.#inTurn(async () => {
        if (entry.users === 0) await this.#unload(id, entry)
      }).catch(() => {})
    }
    entry.timer = setTimeout(unload, toDelay(this.#idleTimeout)).unref()
  }

  /** Loads a model; where it does not fit, idle ones make room, those first that were not used for longest. */
  async #loadModel(id: string): Promise<Model> {
    for (;;) {
      try {
        return await loadModel(id, this.#load)
      } catch (error) {
        const isFull = error instanceof NodeMlxError && error.code === 'ERR_INSUFFICIENT_MEMORY'
        const [idle] = [...this.#entries]
          .filter(([, { isLoaded, users }]) => isFull && isLoaded && users === 0)
          .toSorted(([, a], [, b]) => a.lastUse - b.lastUse)
        if (idle === undefined) throw error
        await this.#unload(...idle)
      }
    }
  }

  async #unload(id: string, entry: Entry): Promise<void> {
    clearTimeout(entry.timer)
    if (this.#entries.get(id) === entry) this.#entries.delete(id)
    const model = await entry.loading
    await model.dispose()
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task)
    this.#turn = result.catch(() => {})
    return result
  }
}
