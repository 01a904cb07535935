// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// For pages. The build bundles this file, so that pages without a bundler can load it, too.
export { NodeMlxError } from '../errors.js'
export { connectModel } from './page.js'

export type { Chat } from '../chat.js'
export type { ErrorCode } from '../errors.js'
export type { Generation } from '../generation.js'
export type { Model } from '../model.js'
export type { Tokenizer } from '../tokenizer.js'
export type * from '../types.js'
