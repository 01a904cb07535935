// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
} from '@ai-sdk/provider' with { 'resolution-mode': 'import' }
import type { Embedder } from '../embedder'
import { withoutUndefined } from '../options'
import type { EmbedOptions } from '../types'
import { PooledModel } from './pooled-model'

/** Options of `embed` that the AI SDK has no names for. */
export type MlxEmbeddingSettings = Pick<EmbedOptions, 'prompt'>

/** A model for the AI SDK's `embed` and `embedMany`. */
export class MlxEmbeddingModel
  extends PooledModel<Embedder, MlxEmbeddingSettings>
  implements EmbeddingModelV4
{
  readonly maxEmbeddingsPerCall = Infinity
  /** They would take turns. */
  readonly supportsParallelCalls = false

  async doEmbed(call: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result> {
    const { values, dimensions, abortSignal: signal, providerOptions } = call
    const options = {
      ...this.settings,
      ...withoutUndefined({ dimensions, signal }),
      ...(providerOptions?.['mlx'] as MlxEmbeddingSettings | undefined),
    }
    const work = (embedder: Embedder) => embedder.embedAndCount(values, options)
    const { embeddings, tokens } = await this.pool.use('embedder', this.target, work, signal)
    return {
      embeddings: embeddings.map((embedding) => Array.from(embedding)),
      usage: { tokens },
      warnings: [],
    }
  }
}
