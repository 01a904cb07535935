// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A thin door to the CommonJS build, as index.mts of the package.
export { createHandler, serve } from './index.js'

export type * from './index.js'
