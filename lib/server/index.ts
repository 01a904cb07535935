// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

export { createHandler } from './handler'
export { serve } from './listen'

export type { PoolOptions } from '../pool'
export type * from './types'
