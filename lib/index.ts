// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

export {
  binary,
  devices,
  memoryUsage,
  mlxVersion,
  setCacheLimit,
  setChatCacheLimit,
  setMemoryLimit,
  setThreads,
  version,
} from './engine'
export { loadEmbedder } from './embedder'
export { NodeMlxError } from './errors'
export { downloadModel } from './hub'
export { inspectModel } from './inspect'
export { loadModel } from './load'
export { loadReranker } from './reranker'
export { defineTool as tool } from './tools'

export type { Binary } from './binary'
export type { Chat } from './chat'
export type { Embedder } from './embedder'
export type { ErrorCode, NodeMlxErrorJson, NodeMlxErrorOptions } from './errors'
export type { Generation } from './generation'
export type { InspectOptions, ModelInspection } from './inspect'
export type { LoadedModel } from './loaded'
export type { Model } from './model'
export type { Reranker } from './reranker'
export type { Tokenizer } from './tokenizer'
export type * from './types'
