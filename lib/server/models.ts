// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors'
import type { Generation } from '../generation'
import type { Model } from '../model'
import { isRecord, show } from '../options'
import { ModelPool } from '../pool'
import { didYouMean } from '../suggest'
import { renamed, RequestError } from './errors'
import { now, type Run, type Task } from './run'
import type { TimeLimit } from './time-limit'
import type { HandlerOptions } from './types'

/** The models that requests can name. */
export class Models {
  readonly #targets: ReadonlyMap<string, string | Model>
  readonly #pool: ModelPool
  readonly #created = now()

  constructor({
    models,
    load,
    idleTimeout,
  }: Pick<HandlerOptions, 'models' | 'load' | 'idleTimeout'>) {
    this.#targets = toTargets(models)
    this.#pool = new ModelPool({ load, idleTimeout })
  }

  list(): object {
    return { object: 'list', data: [...this.#targets.keys()].map((name) => this.describe(name)) }
  }

  describe(name: string): object {
    this.#find(name)
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
    try {
      return { ...(await this.#pool.run(this.#find(name), start, signal)), fields }
    } catch (error) {
      throw renamed(error, fields)
    }
  }

  dispose(): Promise<void> {
    return this.#pool.dispose()
  }

  #find(name: string): string | Model {
    const target = this.#targets.get(name)
    if (target !== undefined) return target
    const names = [...this.#targets.keys()]
    const message = `model: there is no ${show(name)} here${didYouMean(name, names)}`
    throw new RequestError(404, 'model_not_found', message, 'model')
  }
}

function toTargets(models: HandlerOptions['models']): Map<string, string | Model> {
  const entries: [string, string | Model][] = Array.isArray(models)
    ? models.map((id: string) => [id, id])
    : isRecord(models)
      ? Object.entries(models)
      : []
  if (entries.length === 0 || entries.some(([name, target]) => name === '' || !isTarget(target)))
    throw invalidArgument(
      'models',
      'expected ids or folders of models, or an object of their names',
    )
  return new Map(entries)
}

function isTarget(target: unknown): boolean {
  return (typeof target === 'string' && target !== '') || isRecord(target)
}
