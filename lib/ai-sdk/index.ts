// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import type { EmbeddingModelV4, LanguageModelV4, RerankingModelV4 } from '@ai-sdk/provider' with {
  'resolution-mode': 'import',
}
import type { Embedder } from '../embedder'
import { invalidArgument } from '../errors'
import type { Model } from '../model'
import { ModelPool, type PoolOptions } from '../pool'
import type { Reranker } from '../reranker'
import { MlxEmbeddingModel, type MlxEmbeddingSettings } from './embedding-model'
import { MlxLanguageModel } from './model'
import type { MlxSettings } from './options'
import { MlxRerankingModel, type MlxRerankingSettings } from './reranking-model'

export type { PoolOptions } from '../pool'
export type { MlxEmbeddingSettings } from './embedding-model'
export type { MlxSettings } from './options'
export type { MlxRerankingSettings } from './reranking-model'

/** Makes models for the AI SDK. */
export interface MlxProvider {
  /**
   * A model for `generateText`, `streamText` and the like. One that is given by its name or folder is loaded by its first
   * call; two of the same name are one. Calls have more settings in `providerOptions.mlx`.
   */
  (model: string | Model, settings?: MlxSettings): LanguageModelV4
  readonly specificationVersion: 'v4'
  /** The same, for a registry of providers. */
  languageModel(modelId: string): LanguageModelV4
  /** A model for `embed` and `embedMany`: one that `loadEmbedder` loads. */
  embeddingModel(model: string | Embedder, settings?: MlxEmbeddingSettings): EmbeddingModelV4
  /** A model for `rerank`: one that `loadReranker` loads. */
  rerankingModel(model: string | Reranker, settings?: MlxRerankingSettings): RerankingModelV4
  /** Not supported: throws ERR_INVALID_ARG_VALUE. */
  imageModel(modelId: string): never
  /** Unloads the models that this provider has loaded. Further calls load them again. */
  dispose(): Promise<void>
  /** Same as {@link MlxProvider.dispose}. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Makes a provider with models of its own. */
export function createMlx(options: PoolOptions = {}): MlxProvider {
  const pool = new ModelPool(options)
  const make = (model: string | Model, settings: MlxSettings = {}): LanguageModelV4 =>
    new MlxLanguageModel(pool, model, settings)
  const dispose = (): Promise<void> => pool.dispose()
  return Object.assign(make, {
    specificationVersion: 'v4' as const,
    languageModel: (modelId: string) => make(modelId),
    embeddingModel: (model: string | Embedder, settings: MlxEmbeddingSettings = {}) =>
      new MlxEmbeddingModel(pool, model, settings),
    rerankingModel: (model: string | Reranker, settings: MlxRerankingSettings = {}) =>
      new MlxRerankingModel(pool, model, settings),
    imageModel: notSupported,
    dispose,
    [Symbol.asyncDispose]: dispose,
  })
}

function notSupported(modelId: string): never {
  throw invalidArgument('modelId', `'${modelId}' cannot make images`)
}

/** The provider, with models that are unloaded when they have been idle for five minutes. */
export const mlx: MlxProvider = createMlx()
