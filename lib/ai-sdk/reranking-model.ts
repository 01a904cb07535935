// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { RerankingModelV4 } from '@ai-sdk/provider' with { 'resolution-mode': 'import' }
import { withoutUndefined } from '../options'
import type { Reranker } from '../reranker'
import type { RankOptions } from '../types'
import { PooledModel } from './pooled-model'

type CallOptions = Parameters<RerankingModelV4['doRerank']>[0]
type Result = Awaited<ReturnType<RerankingModelV4['doRerank']>>

/** Options of `rank` that the AI SDK has no names for. */
export type MlxRerankingSettings = Pick<RankOptions, 'instruction'>

/** A model for the AI SDK's `rerank`. */
export class MlxRerankingModel
  extends PooledModel<Reranker, MlxRerankingSettings>
  implements RerankingModelV4
{
  async doRerank(call: CallOptions): Promise<Result> {
    const { documents, query, topN, abortSignal: signal, providerOptions } = call
    const options = {
      ...this.settings,
      ...withoutUndefined({ signal }),
      ...(providerOptions?.['mlx'] as MlxRerankingSettings | undefined),
    }
    const texts =
      documents.type === 'text'
        ? documents.values
        : documents.values.map((value) => JSON.stringify(value))
    const work = (reranker: Reranker) => reranker.rank(query, texts, options)
    const ranked = await this.pool.use('reranker', this.target, work, signal)
    const ranking = ranked
      .slice(0, topN)
      .map(({ index, score: relevanceScore }) => ({ index, relevanceScore }))
    return { ranking }
  }
}
