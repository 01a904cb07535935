// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { DownloadProgress, HubOptions } from './hub/types'

export type * from './hub/types'

/** A piece of a message's text. */
export interface TextPart {
  type: 'text'
  text: string
}

/** What a message says; the texts of several parts are put together. */
export type MessageContent = string | readonly TextPart[]

/** Instructions for the whole conversation. */
export interface SystemMessage {
  role: 'system'
  content: MessageContent
  name?: string
}

/** What the user says. */
export interface UserMessage {
  role: 'user'
  content: MessageContent
  name?: string
}

/** What the model said. */
export interface AssistantMessage {
  role: 'assistant'
  /** `null`: nothing, where it only called tools. The chat template then sees no content, as in transformers. */
  content: MessageContent | null
  name?: string
  /** What the model thought before it answered. */
  reasoning?: string
  toolCalls?: readonly ToolCall[]
}

/** What a tool answered. */
export interface ToolMessage {
  role: 'tool'
  content: MessageContent
  name?: string
  /** The `id` of the call that this answers. */
  toolCallId?: string
}

/** One message of a conversation. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

/** A call that the model asked for. */
export interface ToolCall {
  /** Names the call in the `toolCallId` of its answer. */
  id?: string
  name: string
  arguments: Readonly<Record<string, unknown>>
}

/** A function that the model may call, described by a JSON schema, in the shape chat templates expect. */
export interface Tool {
  type: 'function'
  function: {
    name: string
    description?: string
    parameters?: Readonly<Record<string, unknown>>
  }
}

/**
 * What to continue: a string (one user message through the model's chat template, if it has one), a
 * conversation, or token ids, which are used as they are.
 */
export type Prompt = string | readonly Message[] | readonly number[] | Uint32Array

/** How far something is. */
export interface PromptProgress {
  /** Prompt tokens processed so far. */
  processed: number
  /** Prompt tokens in all. */
  total: number
}

/** Options of `model.generate`. What is left out gets the model's own default, else the one named here. */
export interface GenerateOptions {
  /** Tokens to make at most. Default: 4096, or what the context still holds. */
  maxTokens?: number | undefined
  /** 0 is greedy. Default: generation_config.json's, else 0. */
  temperature?: number | undefined
  /** Keep the most likely tokens whose probabilities add up to this, from 0 to 1. Default 1: all. */
  topP?: number | undefined
  /** Keep this many of the most likely tokens. Default 0: all. */
  topK?: number | undefined
  /** Keep tokens at least this likely, relative to the likeliest, from 0 to 1. Default 0: all. */
  minP?: number | undefined
  /** How many tokens `minP` must leave. Default 1. */
  minTokensToKeep?: number | undefined
  /** How often the likeliest tokens are excluded (XTC), from 0 to 1. Default 0: never. Needs a temperature. */
  xtcProbability?: number | undefined
  /**
   * XTC excludes all tokens more likely than this but the least likely of them, from 0 to 0.5; never
   * those that end a line or the answer. Default 0.1.
   */
  xtcThreshold?: number | undefined
  /** Divides the logits of tokens that have occurred (multiplies negative ones), from 0.01 to 100. Default 0: off. */
  repetitionPenalty?: number | undefined
  /** At how many of the last tokens, the prompt's included, it looks; 0 for all. Default 20. */
  repetitionContextSize?: number | undefined
  /** Subtracted from the logits of tokens that have occurred, from -100 to 100. Default 0. */
  presencePenalty?: number | undefined
  /** At how many of the last tokens, the prompt's included, it looks; 0 for all. Default 20. */
  presenceContextSize?: number | undefined
  /** Subtracted from the logits of tokens each time that they have occurred, from -100 to 100. Default 0. */
  frequencyPenalty?: number | undefined
  /** At how many of the last tokens, the prompt's included, it looks; 0 for all. Default 20. */
  frequencyContextSize?: number | undefined
  /** Added to the logits, by token id; from -100 to 100. Default: none. */
  logitBias?: LogitBias | undefined
  /** Same seed, device and build: same tokens, however busy the engine is. Default: random. */
  seed?: number | undefined
  /** Strings that end the answer; they are never emitted. */
  stop?: readonly string[] | undefined
  /** Go on after an end-of-sequence token. Default false. */
  ignoreEos?: boolean | undefined
  /** Report each token's log-probability, and those of so many of the likeliest, up to 20. `true` is 0. Default false. */
  logprobs?: boolean | number | undefined
  /** Prompt tokens processed in one step. Default 2048. */
  prefillStepSize?: number | undefined
  /**
   * Keep at most so many tokens in the KV cache, the first four forever and the latest; at least 8. Default: all.
   * Refused, with ERR_INVALID_ARG_VALUE, by models that choose themselves what they keep, such as those with a
   * sliding window.
   */
  maxKvSize?: number | undefined
  /**
   * Quantize the KV cache to this many bits: 2, 3, 4, 5, 6 or 8. Default: not quantized. Of models with several
   * kinds of cache, those that grow are. Refused, with ERR_INVALID_ARG_VALUE, where none does, as with `maxKvSize`.
   */
  kvBits?: number | undefined
  /** Numbers that share a scale: 32, 64 or 128, which must divide the features of a head. Default 64. */
  kvGroupSize?: number | undefined
  /** From how many tokens on the KV cache is quantized. Default 0. */
  quantizedKvStart?: number | undefined
  /** Told how much of the prompt has been processed. If it throws, the run ends with what it threw. */
  onPromptProgress?: ((progress: PromptProgress) => void) | undefined
  /**
   * Functions offered to the model through its chat template. What it calls comes as chunks and in `toolCalls`; calling
   * is up to you. Malformed calls are text.
   */
  tools?: readonly Tool[] | undefined
  /** `'none'` offers the model no tools, whatever `tools` holds. Default `'auto'`. */
  toolChoice?: 'auto' | 'none' | undefined
  /**
   * Whether the model reasons before it answers, where its chat template knows how to switch that. A budget lets it,
   * for so many tokens at most: then the reasoning is closed in its place, and the answer begins. Default: the model's
   * own. Refused, with ERR_INVALID_ARG_VALUE, where it cannot be had.
   */
  reasoning?: boolean | { budget: number } | undefined
  /** Documents to answer from, for chat templates that know them. */
  documents?: readonly Readonly<Record<string, unknown>>[] | undefined
  /** Extra variables for the chat template. */
  chatTemplateArgs?: Readonly<Record<string, unknown>> | undefined
  /**
   * Encode control tokens in messages, tools, documents and `chatTemplateArgs` as ordinary text: only those that the
   * chat template itself writes are tokens, so a text that holds `<|im_end|>` cannot end its message or forge another.
   * Control tokens are the special tokens, and those other added tokens that the chat template mentions, such as
   * `<think>`. Set it where texts come from people you do not trust; it also applies to what the model said before.
   * A `raw` prompt is encoded as `tokenizer.encode` does with `splitSpecialTokens`. Default false, as in mlx-lm.
   */
  sanitizeControlTokens?: boolean | undefined
  /**
   * Continue the last of the messages, which must be the assistant's, instead of answering it: the result is what comes
   * after. Default false. ERR_INVALID_ARG_VALUE where the last message is not the assistant's.
   */
  continueFinalMessage?: boolean | undefined
  /** Give a string prompt to the model as it is, without the chat template. Default false. */
  raw?: boolean | undefined
  /** Stops the run within one step; it then rejects with an `AbortError`. */
  signal?: AbortSignal | undefined
}

/** Options of `chat.send`. */
export type SendOptions = Omit<GenerateOptions, 'raw' | 'continueFinalMessage'>

/** Options of `model.chat`: how the conversation begins, and defaults for those of `chat.send`. */
export interface ChatOptions extends SendOptions {
  /** What has been said before, such as a system message. Default: nothing. */
  messages?: readonly Message[] | undefined
}

/** What is added to the logits of tokens, by id. */
export type LogitBias = Readonly<Record<number, number>> | ReadonlyMap<number, number>

/** How likely a token was: the natural logarithm of its probability, after penalties, before filters and temperature. */
export interface Logprob {
  id: number
  /** The token as the vocabulary writes it; `''` for an id that has none. */
  token: string
  logprob: number
}

/** How likely a generated token was, and which were the likeliest in its place. */
export interface TokenLogprobs extends Logprob {
  /** Best first; as many as `logprobs` asked for. */
  top: readonly Logprob[]
}

/** What every piece of an answer has. */
interface ChunkBase {
  /** Ids of the tokens that arrived with this chunk. Text may wait for the rest of a character, or of a tag. */
  tokens: readonly number[]
  /** One for each of the tokens, if `logprobs` was asked for. */
  logprobs?: readonly TokenLogprobs[]
}

/** Text of the answer. The texts of these chunks, one after the other, are the result's `text`. */
export interface TextChunk extends ChunkBase {
  type: 'text'
  text: string
}

/** What the model thinks before it answers. These chunks make up the result's `reasoning`. */
export interface ReasoningChunk extends ChunkBase {
  type: 'reasoning'
  text: string
}

/**
 * More of the arguments of a tool call, as the model writes them: a preview. The call counts once it comes as a
 * {@link ToolCallChunk}. One that turns out to be malformed comes as text instead, and the next one takes its index.
 * Not all models write their calls in a way that can be previewed.
 */
export interface ToolCallDeltaChunk extends ChunkBase {
  type: 'tool-call-delta'
  text: ''
  /** Which call of the answer this will be, from 0 on. */
  index: number
  /** The function's name, with the first piece of each call. */
  name?: string
  /** A part of a JSON object. */
  arguments: string
}

/** A whole tool call. */
export interface ToolCallChunk extends ChunkBase {
  type: 'tool-call'
  text: ''
  /** Which call of the answer this is, from 0 on. */
  index: number
  toolCall: Required<ToolCall>
}

/** A piece of an answer. */
export type GenerationChunk = TextChunk | ReasoningChunk | ToolCallDeltaChunk | ToolCallChunk

/** Tokens that went into a run and came out of it. */
export interface Usage {
  promptTokens: number
  /** How many of the prompt's tokens were already in the KV cache. */
  cachedTokens: number
  completionTokens: number
  /** How many of these were reasoning. */
  reasoningTokens: number
}

/** Where the time of a run went. */
export interface Timings {
  /** Milliseconds spent waiting for the engine. */
  queueMs: number
  /** Milliseconds spent on the prompt. */
  promptMs: number
  /** Milliseconds from the call to the first token. */
  timeToFirstTokenMs: number
  /** Of the prompt's tokens that were not in the KV cache. */
  promptTokensPerSecond: number
  generationTokensPerSecond: number
}

/** A whole answer. */
export interface GenerationResult {
  /** The answer: without reasoning and tool calls, unless the prompt was `raw` or token ids. */
  text: string
  /** What the model thought before, if it did. */
  reasoning?: string
  /** The functions that the model wants called. Give it what they return as messages of the role `'tool'`. */
  toolCalls: readonly Required<ToolCall>[]
  /** Ids of the generated tokens. */
  tokens: readonly number[]
  /**
   * `'stop'`: an end-of-sequence token or a stop string; `'tool-calls'`: the same, and the model called tools;
   * `'length'`: `maxTokens` or the context ran out.
   */
  finishReason: 'stop' | 'length' | 'tool-calls'
  /** The stop string that ended the answer, if one did. */
  stopString?: string
  /** One for each of the tokens, if `logprobs` was asked for. */
  logprobs?: readonly TokenLogprobs[]
  usage: Usage
  timings: Timings
  /** The most memory MLX has held so far, in bytes. */
  peakMemory: number
}

/** How far reading a model's weights is. */
export interface WeightsProgress {
  stage: 'load'
  /** Bytes of weights read so far. */
  loaded: number
  /** Bytes of weights in all. */
  total: number
}

/** How far loading a model is: a model of the Hub is downloaded first. */
export type LoadProgress = DownloadProgress | WeightsProgress

/** Options of `loadModel`. The Hub's do not matter to a local folder. */
export interface LoadOptions extends HubOptions {
  /** Branch, tag or commit, of a model of the Hub; of an adapter, it is always `'main'`. Default `'main'`. */
  revision?: string | undefined
  /**
   * An adapter for this model, as mlx-lm's training saves it: the path of a folder, or `owner/name` of the Hub where
   * there is no such folder, with adapter_config.json (LoRA, DoRA, or full weights) and adapters.safetensors.
   * It is downloaded before the model. Default: none. A folder that is not there fails with ERR_MODEL_NOT_FOUND, one
   * without these files with ERR_MODEL_FILE_MISSING, tensors for other layers or of other shapes with
   * ERR_WEIGHTS_MISMATCH.
   */
  adapter?: string | undefined
  /** Where to run. `'auto'`, the default, is the GPU where there is one. */
  device?: 'auto' | 'gpu' | 'cpu' | undefined
  /** Runs that the model takes at a time, under way or waiting; one more fails with ERR_QUEUE_FULL. Default 1024. */
  maxQueue?: number | undefined
  /** Told how far downloading and loading are. If it throws, loading ends with what it threw. */
  onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Stops loading; `loadModel` then rejects with an `AbortError`. */
  signal?: AbortSignal | undefined
}

/** How a model's weights are quantized. */
export interface Quantization {
  bits: number
  groupSize: number
  mode: string
}

/** Options of `tokenizer.encode`. */
export interface EncodeOptions {
  /** Add the tokens that the tokenizer puts around every text, such as the beginning-of-sequence. Default true. */
  addSpecialTokens?: boolean | undefined
  /**
   * Encode special tokens within the text, such as `<|im_end|>`, as the ordinary text that they are spelled with.
   * Default false: they become the tokens (tokenizer_config.json can say otherwise).
   */
  splitSpecialTokens?: boolean | undefined
}

/** Options of `tokenizer.decode`. */
export interface DecodeOptions {
  /** Leave special tokens out of the text. Default false. */
  skipSpecialTokens?: boolean | undefined
}

/** Options of `tokenizer.applyChatTemplate`. */
export interface ChatTemplateOptions {
  tools?: readonly Tool[] | undefined
  /** Documents for retrieval, for templates that know them. */
  documents?: readonly Readonly<Record<string, unknown>>[] | undefined
  /** End with the start of the assistant's turn. Default false. */
  addGenerationPrompt?: boolean | undefined
  /** Leave the last message open, for the model to continue it. Default false. */
  continueFinalMessage?: boolean | undefined
  /** Extra variables for the template. */
  chatTemplateArgs?: Readonly<Record<string, unknown>> | undefined
}

/** What MLX holds, in bytes. */
export interface MemoryUsage {
  /** In arrays. */
  active: number
  /** Freed, kept for reuse. */
  cache: number
  /** The most that was ever active. */
  peak: number
}
