// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The messages between a client (the main process or a page) and the process that runs the models. The client calls
// methods of objects that the other side keeps by number. It chooses the numbers of new objects, so that it can use
// them before the reply.

import type { NodeMlxErrorJson } from '../errors'
import type {
  NativeChunk,
  NativeGenerationResult,
  NativeModelInfo,
  NativeSpecialTokens,
} from '../native'

/** The number of the object that is there from the start. */
export const ROOT = 0

export interface CallMessage {
  call: number
  object: number
  method: string
  args: readonly unknown[]
  /** Number of the object that the method returns, if it returns one. */
  as?: number
  /** Whether to report progress. */
  progress?: boolean
}

export type ClientMessage = CallMessage | { abort: number } | { drop: number }

export type ServerMessage =
  | { call: number; value: unknown }
  | { call: number; error: NodeMlxErrorJson }
  | { call: number; progress: unknown }

/** What a client knows of a model before it uses it. */
export interface ModelFacts {
  info: NativeModelInfo
  specialTokens: NativeSpecialTokens
}

/** The reply to `next` of a run. */
export interface NextReply {
  chunks: NativeChunk[] | null
  /** Comes with the end. */
  result?: NativeGenerationResult
}
