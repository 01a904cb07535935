// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Models that are loaded when they are first used, and unloaded once they have been idle for a while.

import { loadEmbedder, type Embedder } from './embedder'
import { abortError, NodeMlxError } from './errors'
import type { Generation } from './generation'
import { loadModel } from './load'
import type { Model } from './model'
import { checkOptions, POOL_OPTIONS, toDelay } from './options'
import { loadReranker, type Reranker } from './reranker'
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

/** What a model is loaded as. */
export interface Kinds {
  model: Model
  embedder: Embedder
  reranker: Reranker
}

type Kind = keyof Kinds

const LOADERS: {
  readonly [K in Kind]: (id: string, options?: LoadOptions) => Promise<Kinds[K]>
} = { model: loadModel, embedder: loadEmbedder, reranker: loadReranker }

/** A run of a model, which stays loaded until the run has ended. */
export interface PooledRun {
  model: Model
  generation: Generation
}

interface Entry {
  loading: Promise<Kinds[Kind]>
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
    const { load, idleTimeout = FIVE_MINUTES } = checkOptions(options, POOL_OPTIONS)
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
    const { model, release } = await this.#acquire('model', target, signal)
    const generation = start(model)
    void generation.then(release, release)
    await generation[Symbol.asyncIterator]().next()
    return { model, generation }
  }

  /**
   * Does some work with a model, which stays loaded until it is done.
   * @throws what loading and the work throw
   */
  async use<K extends Kind, T>(
    kind: K,
    target: string | Kinds[K],
    work: (model: Kinds[K]) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const { model, release } = await this.#acquire(kind, target, signal)
    return work(model).finally(release)
  }

  /** Unloads all models, until they are used again; their runs fail with ERR_MODEL_DISPOSED. */
  async dispose(): Promise<void> {
    await Promise.allSettled([...this.#entries].map(([key, entry]) => this.#unload(key, entry)))
  }

  async #acquire<K extends Kind>(
    kind: K,
    target: string | Kinds[K],
    signal: AbortSignal | undefined,
  ): Promise<{ model: Kinds[K]; release: () => void }> {
    if (typeof target !== 'string') return { model: target, release: () => {} }
    const key = `${kind} ${target}`
    const entry = this.#entries.get(key) ?? this.#add(key, kind, target)
    entry.users += 1
    clearTimeout(entry.timer)
    const release = (): void => this.#release(key, entry)
    try {
      const loading = entry.loading as Promise<Kinds[K]>
      return { model: await (signal ? orAborted(loading, signal) : loading), release }
    } catch (error) {
      release()
      throw signal?.aborted ? abortError(signal.reason) : error
    }
  }

  #add(key: string, kind: Kind, id: string): Entry {
    const loading = this.#inTurn(() => this.#loadModel(kind, id))
    const entry: Entry = { loading, isLoaded: false, users: 0, lastUse: 0 }
    this.#entries.set(key, entry)
    loading.then(
      () => (entry.isLoaded = true),
      () => this.#entries.get(key) === entry && this.#entries.delete(key),
    )
    return entry
  }

  #release(key: string, entry: Entry): void {
    entry.users -= 1
    this.#uses += 1
    entry.lastUse = this.#uses
    if (entry.users > 0 || this.#idleTimeout === Infinity) return
    const unload = (): void => {
      void this.#inTurn(async () => {
        if (entry.users === 0) await this.#unload(key, entry)
      }).catch(() => {})
    }
    entry.timer = setTimeout(unload, toDelay(this.#idleTimeout)).unref()
  }

  /** Loads a model; where it does not fit, idle ones make room, those first that were not used for longest. */
  async #loadModel(kind: Kind, id: string): Promise<Kinds[Kind]> {
    for (;;) {
      try {
        return await LOADERS[kind](id, this.#load)
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

  async #unload(key: string, entry: Entry): Promise<void> {
    clearTimeout(entry.timer)
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
    const model = await entry.loading
    await model.dispose()
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task)
    this.#turn = result.catch(() => {})
    return result
  }
}
