// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import type { LanguageModelV4 } from '@ai-sdk/provider' with { 'resolution-mode': 'import' }
import { invalidArgument } from '../errors'
import type { Model } from '../model'
import { ModelPool, type PoolOptions } from '../pool'
import { MlxLanguageModel } from './model'
import type { MlxSettings } from './options'

export type { PoolOptions } from '../pool'
export type { MlxSettings } from './options'

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
  /** Not supported: throws ERR_INVALID_ARG_VALUE. */
  embeddingModel(modelId: string): never
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
    embeddingModel: notSupported,
    imageModel: notSupported,
    dispose,
    [Symbol.asyncDispose]: dispose,
  })
}

function notSupported(modelId: string): never {
  throw invalidArgument('modelId', `'${modelId}' can be used as a language model only`)
}

/** The provider, with models that are unloaded when they have been idle for five minutes. */
export const mlx: MlxProvider = createMlx()
