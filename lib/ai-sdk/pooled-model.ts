// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { ModelPool } from '../pool'

/** What all models for the AI SDK have: one of node-mlx's, or the name of one that the pool loads, and settings. */
export class PooledModel<M extends { id: string }, Settings> {
  readonly specificationVersion = 'v4'
  readonly provider = 'mlx'
  readonly modelId: string
  /** @internal */
  protected readonly pool: ModelPool
  /** @internal */
  protected readonly target: string | M
  /** @internal */
  protected readonly settings: Settings

  /** @internal Made by `mlx`. */
  constructor(pool: ModelPool, target: string | M, settings: Settings) {
    this.modelId = typeof target === 'string' ? target : target.id
    this.pool = pool
    this.target = target
    this.settings = settings
  }
}
