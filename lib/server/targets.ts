// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Embedder } from '../embedder'
import { invalidArgument, NodeMlxError } from '../errors'
import type { Model } from '../model'
import { isRecord, show } from '../options'
import { didYouMean } from '../suggest'
import { RequestError } from './errors'
import type { HandlerOptions } from './types'

type Target = string | Model | Embedder

/** What the names of models stand for. */
export class Targets {
  readonly #targets: ReadonlyMap<string, Target>

  constructor(models: HandlerOptions['models']) {
    const entries: [string, Target][] = Array.isArray(models)
      ? models.map((id: string) => [id, id])
      : isRecord(models)
        ? Object.entries(models)
        : []
    if (entries.length === 0 || entries.some(([name, target]) => name === '' || !isTarget(target)))
      throw invalidArgument(
        'models',
        'expected ids or folders of models, or an object of their names',
      )
    this.#targets = new Map(entries)
  }

  get names(): string[] {
    return [...this.#targets.keys()]
  }

  model(name: string): string | Model {
    const target = this.find(name)
    if (isEmbedder(target)) throw wrongKind('it makes embeddings only')
    return target
  }

  embedder(name: string): string | Embedder {
    const target = this.find(name)
    if (typeof target === 'string' || isEmbedder(target)) return target
    throw wrongKind('it makes no embeddings')
  }

  find(name: string): Target {
    const target = this.#targets.get(name)
    if (target !== undefined) return target
    const message = `model: there is no ${show(name)} here${didYouMean(name, this.names)}`
    throw new RequestError(404, 'model_not_found', message, 'model')
  }
}

/** The same error, unless the files of a model say that it is no embedder, or do not say how it is one. */
export function orWrongKind(error: unknown): unknown {
  if (!(error instanceof NodeMlxError)) return error
  const { code, details, message } = error
  const isWrong = code === 'ERR_MODEL_UNSUPPORTED' || details?.['file'] === 'modules.json'
  return isWrong ? wrongKind(message) : error
}

/** The error for a model that cannot do what a request asks of it. */
function wrongKind(problem: string): RequestError {
  return new RequestError(400, 'model_not_supported', `model: ${problem}`, 'model')
}

function isEmbedder(target: Target): target is Embedder {
  return typeof target !== 'string' && 'embed' in target
}

function isTarget(target: unknown): boolean {
  return (typeof target === 'string' && target !== '') || isRecord(target)
}
