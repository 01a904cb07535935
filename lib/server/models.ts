// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Embedder } from '../embedder'
import type { Generation } from '../generation'
import type { Model } from '../model'
import { ModelPool } from '../pool'
import type { EmbedTask } from './embeddings'
import { renamed } from './errors'
import { now, type Run, type Task } from './run'
import { orWrongKind, Targets } from './targets'
import type { TimeLimit } from './time-limit'
import type { HandlerOptions } from './types'

/** The models that requests can name. */
export class Models {
  readonly #targets: Targets
  readonly #pool: ModelPool
  readonly #created = now()

  constructor({
    models,
    load,
    idleTimeout,
  }: Pick<HandlerOptions, 'models' | 'load' | 'idleTimeout'>) {
    this.#targets = new Targets(models)
    this.#pool = new ModelPool({ load, idleTimeout })
  }

  list(): object {
    return { object: 'list', data: this.#targets.names.map((name) => this.describe(name)) }
  }

  describe(name: string): object {
    this.#targets.find(name)
    return { id: name, object: 'model', created: this.#created, owned_by: 'node-mlx' }
  }

  async run({ model: name, prompt, options, fields }: Task, limit: TimeLimit): Promise<Run> {
    const { signal } = limit
    const start = (model: Model): Generation => {
      const generation = model.generate(prompt, { ...options(model), signal })
      limit.keep()
      const release = (): void => limit.release()
      void generation.then(release, release)
      return generation
    }
    const target = this.#targets.model(name)
    try {
      return { ...(await this.#pool.run(target, start, signal)), fields }
    } catch (error) {
      throw renamed(error, fields)
    }
  }

  async embed(
    { model: name, texts, options, fields }: EmbedTask,
    { signal }: TimeLimit,
  ): Promise<{ embeddings: Float32Array[]; tokens: number }> {
    const target = this.#targets.embedder(name)
    const work = (embedder: Embedder) => embedder.embedAndCount(texts, { ...options, signal })
    try {
      return await this.#pool.use('embedder', target, work, signal)
    } catch (error) {
      throw orWrongKind(renamed(error, fields))
    }
  }

  dispose(): Promise<void> {
    return this.#pool.dispose()
  }
}
