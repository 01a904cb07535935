// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A thin door to the CommonJS build: however the package is imported, there is one engine and one
// NodeMlxError.
export {
  binary,
  devices,
  downloadModel,
  inspectModel,
  loadEmbedder,
  loadModel,
  loadReranker,
  memoryUsage,
  mlxVersion,
  NodeMlxError,
  setCacheLimit,
  setChatCacheLimit,
  setMemoryLimit,
  setThreads,
  tool,
  version,
} from './index.js'

export type * from './index.js'
