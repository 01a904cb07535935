// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The public types of what a run returns. The other public types are in types.ts.

/** A tool call requested by the model. */
export interface ToolCall {
  /** Identifies the call; the `toolCallId` of its result refers to it. */
  id?: string
  name: string
  arguments: Readonly<Record<string, unknown>>
}

/** Natural logarithm of a token's probability, after penalties, before filters and temperature. */
export interface Logprob {
  id: number
  /** The token as spelled in the vocabulary; `''` for an id without a token. */
  token: string
  logprob: number
}

/** Log-probabilities of a generated token and of the most likely tokens in its place. */
export interface TokenLogprobs extends Logprob {
  /** Most likely first; the number that `logprobs` requested. */
  top: readonly Logprob[]
}

/** Properties common to all chunks. */
interface ChunkBase {
  /** Ids of the tokens in this chunk. Their text may follow later, once a character or tag is complete. */
  tokens: readonly number[]
  /** One entry per token, if `logprobs` was set. */
  logprobs?: readonly TokenLogprobs[]
}

/** Text of the answer. The concatenated texts of these chunks are the result's `text`. */
export interface TextChunk extends ChunkBase {
  type: 'text'
  text: string
}

/** Reasoning that precedes the answer. The concatenated texts of these chunks are the result's `reasoning`. */
export interface ReasoningChunk extends ChunkBase {
  type: 'reasoning'
  text: string
}

/**
 * A preview of a tool call's arguments while the model writes them. The call is final once it is returned as a
 * {@link ToolCallChunk}. A call that turns out to be malformed is returned as text instead, and the next call takes its
 * index. Not every model's tool-call format can be previewed.
 */
export interface ToolCallDeltaChunk extends ChunkBase {
  type: 'tool-call-delta'
  text: ''
  /** Index of the tool call within the answer. */
  index: number
  /** The call's id, in the first chunk of each call. */
  id?: string
  /** The function's name, in the first chunk of each call. */
  name?: string
  /** A fragment of a JSON object. */
  arguments: string
}

/** A complete tool call. */
export interface ToolCallChunk extends ChunkBase {
  type: 'tool-call'
  text: ''
  /** Index of the tool call within the answer. */
  index: number
  toolCall: Required<ToolCall>
}

/** A chunk of an answer. */
export type GenerationChunk = TextChunk | ReasoningChunk | ToolCallDeltaChunk | ToolCallChunk

/** Token counts of a run. */
export interface Usage {
  promptTokens: number
  /** Number of prompt tokens that were already in the KV cache. */
  cachedTokens: number
  completionTokens: number
  /** Number of completion tokens that were reasoning. */
  reasoningTokens: number
  /** With `speculative`: number of tokens that were guessed. */
  draftedTokens?: number
  /** With `speculative`: number of guesses that were right; each saved a pass through the model. */
  acceptedTokens?: number
}

/** Timings of a run. */
export interface Timings {
  /** Milliseconds spent waiting for the engine. */
  queueMs: number
  /** Milliseconds spent on the prompt; 0 if the run was stopped before the first token, as are those below. */
  promptMs: number
  /** Milliseconds from the call to the first token. */
  timeToFirstTokenMs: number
  /** Counts only prompt tokens that were not in the KV cache. */
  promptTokensPerSecond: number
  generationTokensPerSecond: number
}

/** A complete answer. `T` is the type of `object`. */
export interface GenerationResult<T = unknown> {
  /** The answer. Excludes reasoning and tool calls, unless the prompt was `raw` or token ids. */
  text: string
  /** The reasoning that preceded the answer, if any. */
  reasoning?: string
  /** The parsed answer, if `schema` was set; missing if the answer was cut off, or the model called tools instead. */
  object?: T
  /** Tool calls requested by the model. Send their results as messages with role `'tool'`. */
  toolCalls: readonly Required<ToolCall>[]
  /** Ids of the generated tokens. */
  tokens: readonly number[]
  /**
   * `'stop'`: an end-of-sequence token, a stop string, or the end of what `schema`, `regex` or `grammar` allows;
   * `'tool-calls'`: the same, and the model called tools; `'length'`: `maxTokens` or the context length was reached;
   * `'aborted'`: stopped, with `onAbort: 'keep'`.
   */
  finishReason: 'stop' | 'length' | 'tool-calls' | 'aborted'
  /** The stop string that ended the answer, if any. */
  stopString?: string
  /** One entry per token, if `logprobs` was set. */
  logprobs?: readonly TokenLogprobs[]
  usage: Usage
  timings: Timings
  /** Peak memory use of MLX so far, in bytes. */
  peakMemory: number
}

/** What a function gave that `chat.run` called. */
export interface ToolResult {
  toolCall: Required<ToolCall>
  /** What the function returned; missing if it failed. */
  output?: unknown
  /** Why there is no output: what the function threw, or that it took too long, or does not exist. */
  error?: unknown
  /** What the model was told. */
  content: string
}

/** An answer of `chat.run`, and what the functions gave that it called. */
export interface ChatStep<T = unknown> extends GenerationResult<T> {
  toolResults: readonly ToolResult[]
}

/** The last answer of `chat.run`. Its `usage` is that of all steps together. */
export interface ChatRunResult<T = unknown> extends GenerationResult<T> {
  steps: readonly ChatStep<T>[]
}
