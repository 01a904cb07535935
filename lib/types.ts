// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { DownloadProgress, HubOptions } from './hub/types'
import type { ChatStep, ToolCall } from './results'
import type { JsonSchema, StandardSchema } from './schema'
import type { Tool } from './tools'

export type * from './hub/types'
export type * from './results'
export type { JsonSchema, StandardIssue, StandardResult, StandardSchema } from './schema'
export type { FlatTool, FunctionTool, Tool, ToolContext, ToolFunction, TypedTool } from './tools'

/** A text part of a message's content. */
export interface TextPart {
  type: 'text'
  text: string
}

/** The content of a message. The texts of several parts are concatenated. */
export type MessageContent = string | readonly TextPart[]

/** Instructions for the whole conversation. `'developer'`, as in OpenAI's API, means the same as `'system'`. */
export interface SystemMessage {
  role: 'system' | 'developer'
  content: MessageContent
  name?: string
}

/** A message from the user. */
export interface UserMessage {
  role: 'user'
  content: MessageContent
  name?: string
}

/** A message from the model. */
export interface AssistantMessage {
  role: 'assistant'
  /** `null` or missing if the message has tool calls only. The chat template then sees an empty content. */
  content?: MessageContent | null | undefined
  name?: string
  /** The reasoning that preceded the answer. */
  reasoning?: string
  toolCalls?: readonly ToolCall[]
}

/** The result of a tool call. */
export interface ToolMessage {
  role: 'tool'
  content: MessageContent
  name?: string
  /** The `id` of the tool call that returned this result. */
  toolCallId?: string
}

/** One message of a conversation. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

/**
 * The input of a run: a string (rendered by the chat template as one user message, if the model has a template), a
 * conversation, or token ids, which are used unchanged.
 */
export type Prompt = string | readonly Message[] | readonly number[] | Uint32Array

/** Progress of prompt processing. */
export interface PromptProgress {
  /** Prompt tokens processed so far. */
  processed: number
  /** Total number of prompt tokens. */
  total: number
}

/** A model that guesses the tokens of another one. Its cache is neither bounded by `maxKvSize` nor quantized. */
export interface DraftOptions {
  /** A `Model` that was loaded in the same process; it may be the model itself. */
  draft: { readonly vocabSize: number; generate(...args: never[]): unknown }
  /** Maximum number of guesses in one pass, from 1 to 64; fewer while they are wrong. Default 2. */
  tokens?: number | undefined
}

/** Options of `model.generate`. An omitted option takes the model's own default, or else the default given here. */
export interface GenerateOptions {
  /** Maximum number of tokens to generate. Default: 4096, or the rest of the context if that is less. */
  maxTokens?: number | undefined
  /** Sampling temperature; 0 always selects the most likely token. Default: from generation_config.json, or else 0. */
  temperature?: number | undefined
  /** Keep the most likely tokens whose probabilities add up to this value, from 0 to 1. Default 1: all. */
  topP?: number | undefined
  /** Keep only this number of the most likely tokens. Default 0: all. */
  topK?: number | undefined
  /** Keep tokens with at least this fraction of the most likely token's probability, from 0 to 1. Default 0: all. */
  minP?: number | undefined
  /** Minimum number of tokens that `minP` keeps. Default 1. */
  minTokensToKeep?: number | undefined
  /** Probability that XTC excludes the most likely tokens, from 0 to 1. Default 0: never. Requires a temperature. */
  xtcProbability?: number | undefined
  /**
   * XTC excludes the tokens more likely than this, except the least likely of them, from 0 to 0.5. It never excludes
   * tokens that end a line or the answer. Default 0.1.
   */
  xtcThreshold?: number | undefined
  /**
   * Divides the logits of tokens that have already occurred, or multiplies them if they are negative; from 0.01 to 100.
   * Default: from generation_config.json, and then for all tokens, or else 0: off.
   */
  repetitionPenalty?: number | undefined
  /** Number of most recent tokens, including the prompt's, that the penalty considers; 0 for all. Default 20. */
  repetitionContextSize?: number | undefined
  /** Subtracted once from the logits of tokens that have already occurred, from -100 to 100. Default 0. */
  presencePenalty?: number | undefined
  /** Number of most recent tokens, including the prompt's, that the penalty considers; 0 for all. Default 20. */
  presenceContextSize?: number | undefined
  /** Subtracted from the logits of tokens once for each occurrence, from -100 to 100. Default 0. */
  frequencyPenalty?: number | undefined
  /** Number of most recent tokens, including the prompt's, that the penalty considers; 0 for all. Default 20. */
  frequencyContextSize?: number | undefined
  /** Values added to the logits, by token id, from -100 to 100. Default: none. */
  logitBias?: LogitBias | undefined
  /**
   * The same seed, device and build produce the same tokens, but for the rounding that `cache` and steps of another length
   * allow (`prefillStepSize` fixes that). Default: random.
   */
  seed?: number | undefined
  /** Strings that end the answer; they are not part of it. Special tokens may be among them, or parts of them. */
  stop?: readonly string[] | undefined
  /** Continue after an end-of-sequence token. Default false. */
  ignoreEos?: boolean | undefined
  /**
   * Report the log-probability of each token, and of this number of the most likely tokens in its place, at most 20.
   * `true` means 0. Default false.
   */
  logprobs?: boolean | number | undefined
  /**
   * Number of prompt tokens processed per step. Other runs and aborts wait for a step. Default: as many as take about a
   * second, 16 to 2048, by the steps before; with `maxKvSize` or `kvBits`, whose answers depend on it, 512.
   */
  prefillStepSize?: number | undefined
  /**
   * Maximum number of tokens in the KV cache, at least 8: the first four tokens and the most recent ones. Default: all.
   * Fails with ERR_INVALID_ARG_VALUE for models that manage their own caches, such as those with a sliding window.
   */
  maxKvSize?: number | undefined
  /**
   * Number of bits to quantize the KV cache to: 2, 3, 4, 5, 6 or 8. Default: not quantized. In models with several
   * kinds of cache, only the growing ones are quantized. Fails with ERR_INVALID_ARG_VALUE if there are none, for
   * example with `maxKvSize`.
   */
  kvBits?: number | undefined
  /** Number of values that share a scale: 32, 64 or 128. Must divide the head dimension. Default 64. */
  kvGroupSize?: number | undefined
  /** Number of tokens from which the KV cache is quantized. Default 0. */
  quantizedKvStart?: number | undefined
  /** Called with progress while the prompt is processed. An exception cancels the run, which rejects with it. */
  onPromptProgress?: ((progress: PromptProgress) => void) | undefined
  /**
   * Functions that the model may call, passed to its chat template. The calls are returned as chunks and in
   * `toolCalls`; executing them is up to you, or to `chat.run`. Malformed calls are returned as text.
   */
  tools?: readonly Tool[] | undefined
  /**
   * Whether the model calls functions. `'required'`: it calls at least one, `{ name }`: it calls this one, once; such a
   * call comes right after the reasoning, if there is any, and its arguments follow the schema, as with `strictTools`.
   * `'none'` hides `tools` from the model. Default `'auto'`. A call that must come cannot be combined with `schema`,
   * `regex` or `grammar`.
   */
  toolChoice?: ToolChoice | undefined
  /**
   * Hold calls to the schemas of `tools`, in the model's own format: the tokens that would break it are never chosen. The
   * reasoning then has no calls, and the text no control tokens. What cannot be guaranteed fails with
   * ERR_GRAMMAR_UNSUPPORTED before the run. Default false.
   */
  strictTools?: boolean | undefined
  /**
   * Whether the model reasons before it answers, if its chat template has a switch for that. A budget enables reasoning
   * and limits it to this number of tokens; after that the reasoning is closed and the answer begins. Default: the
   * model's own. Fails with ERR_INVALID_ARG_VALUE if the model does not support it.
   */
  reasoning?: boolean | { budget: number } | undefined
  /**
   * A schema that the answer follows as JSON, after the reasoning: a JSON schema, or a schema of a library that implements
   * Standard JSON Schema, such as zod. The result's `object` is the parsed answer; a library's schema also validates and types
   * it. Objects have no properties besides those of `properties`, unless `additionalProperties` says so. What cannot be
   * guaranteed fails with ERR_GRAMMAR_UNSUPPORTED before the run. Cannot be combined with `regex`, `grammar` or `ignoreEos`.
   */
  schema?: JsonSchema | StandardSchema | undefined
  /** A regular expression that the answer as a whole matches, after the reasoning. Without the flags i, m, s and v. */
  regex?: RegExp | string | undefined
  /** A grammar that the answer follows, after the reasoning, in llguidance's dialect of Lark. */
  grammar?: string | undefined
  /** Documents to answer from, for chat templates that support them. */
  documents?: readonly Readonly<Record<string, unknown>>[] | undefined
  /** Extra variables for the chat template. */
  chatTemplateArgs?: Readonly<Record<string, unknown>> | undefined
  /**
   * Encode control tokens in messages, tools, documents and `chatTemplateArgs` as ordinary text. Only control tokens
   * written by the chat template itself remain tokens, so text that contains `<|im_end|>` cannot end its message or
   * forge another one. Control tokens are the special tokens, and those other added tokens that the chat template
   * mentions, such as `<think>`. Set this for text from untrusted sources; it also applies to the model's earlier
   * messages.
   * A `raw` prompt is encoded as by `tokenizer.encode` with `splitSpecialTokens`. Default false, as in mlx-lm.
   */
  sanitizeControlTokens?: boolean | undefined
  /**
   * Continue the last message instead of answering it; the result is the continuation only. Default false. Fails with
   * ERR_INVALID_ARG_VALUE unless the last message has role `'assistant'`.
   */
  continueFinalMessage?: boolean | undefined
  /** Pass a string prompt to the model unchanged, without the chat template. Default false. */
  raw?: boolean | undefined
  /** Stops the run within one step; the run then ends as `onAbort` says. */
  signal?: AbortSignal | undefined
  /**
   * How a run ends that is stopped, by the signal, `cancel()` or leaving a loop: `'throw'` rejects with an `AbortError`,
   * `'keep'` resolves with the answer so far and the finish reason `'aborted'`. Default `'throw'`.
   */
  onAbort?: 'throw' | 'keep' | undefined
  /**
   * `'auto'` starts with the kept KV cache that has most tokens in common with the prompt, whichever run it is from, and keeps
   * its own for later runs: `usage.cachedTokens` is the number of prompt tokens that were not processed again. `'none'` does
   * neither. With `kvBits` or `maxKvSize`, whose caches are lossy, only runs of the same chat share one. Default `'auto'`.
   *
   * The answer is that of a run without a cache, up to rounding: sums are added in another order, which may decide between
   * two tokens that are about equally likely.
   */
  cache?: 'auto' | 'none' | undefined
  /**
   * Guess the next tokens, and check several in one pass through the model. The tokens are those of a run without this, also
   * with a temperature and a seed, up to rounding as above. `'prompt-lookup'` guesses that what followed the last tokens
   * earlier in the text follows again: for answers that repeat parts of the prompt. `draft` is a smaller model with the same
   * vocabulary, which guesses at most `tokens` at a time. `usage` says how many guesses were right. Default: none. Cannot be
   * combined with `schema`, `regex`, `grammar`, `strictTools` or a call that must come.
   */
  speculative?: 'prompt-lookup' | DraftOptions | undefined
}

/** Options of `chat.send`. */
export type SendOptions = Omit<GenerateOptions, 'raw' | 'continueFinalMessage'>

/** Whether a model calls functions, or which. */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string }

/** Options of `chat.run`: those of `chat.send`, and these. Every one of the `tools` needs its `execute`. */
export interface ChatRunOptions extends SendOptions {
  /** Maximum number of answers. The calls of the last one are not executed. Default 10. */
  maxSteps?: number | undefined
  /** Milliseconds after which a function's call fails, which the model is told. Default: no limit. */
  toolTimeout?: number | undefined
  /** Called after each answer and the functions that it called, and awaited. An exception ends the run. */
  onStep?: ((step: ChatStep) => unknown) | undefined
}

/** Options of `model.chat`: the initial messages, and defaults for the options of `chat.send`. */
export interface ChatOptions extends SendOptions {
  /** Initial messages, for example a system message. Default: none. */
  messages?: readonly Message[] | undefined
  /**
   * A file that `chat.save` wrote. The chat goes on with its messages and options; options given here take their places. The KV
   * cache is restored, too, if model, adapter, device and version of node-mlx are the same; otherwise the first answer only
   * starts more slowly. Cannot be combined with `messages`.
   */
  restore?: string | undefined
}

/** Values added to the logits, by token id. */
export type LogitBias = Readonly<Record<number, number>> | ReadonlyMap<number, number>

/** Progress of reading a model's weights. */
export interface WeightsProgress {
  stage: 'load'
  /** Bytes of weights read so far. */
  loaded: number
  /** Total bytes of weights. */
  total: number
}

/** Progress of loading a model. A model from the Hub is downloaded first. */
export type LoadProgress = DownloadProgress | WeightsProgress

/** Options of `loadModel`. Hub options have no effect on a local folder. */
export interface LoadOptions extends HubOptions {
  /** Branch, tag or commit of a model on the Hub. Adapters always use `'main'`. Default `'main'`. */
  revision?: string | undefined
  /**
   * An adapter for this model, as saved by mlx-lm's training: the path of a folder, or `owner/name` on the Hub if no
   * such folder exists, with adapter_config.json (LoRA, DoRA, or full weights) and adapters.safetensors. It is
   * downloaded before the model. Default: none. Fails with ERR_MODEL_NOT_FOUND if the folder does not exist, with
   * ERR_MODEL_FILE_MISSING if it lacks one of these files, and with ERR_WEIGHTS_MISMATCH if a tensor does not fit the
   * model.
   */
  adapter?: string | undefined
  /** Device to run on. `'auto'`, the default, selects the GPU if one is available. */
  device?: 'auto' | 'gpu' | 'cpu' | undefined
  /** Maximum number of active and waiting runs; further runs fail with ERR_QUEUE_FULL. Default 1024. */
  maxQueue?: number | undefined
  /**
   * Maximum number of tokens of prompt and answer together: a longer prompt fails with ERR_CONTEXT_OVERFLOW, and an
   * answer ends there. Default: what config.json says, as its scaling of RoPE extends it. A larger number does not change
   * the model, which was not made for such texts.
   */
  contextLength?: number | undefined
  /** Called with progress of the download and of loading. An exception cancels `loadModel`, which rejects with it. */
  onProgress?: ((progress: LoadProgress) => void) | undefined
  /** Stops loading; `loadModel` then rejects with an `AbortError`. */
  signal?: AbortSignal | undefined
}

/** Options of `loadEmbedder`: those of `loadModel`, and this one. */
export interface EmbedderOptions extends LoadOptions {
  /**
   * What an embedding is made of: the hidden state of the last token, or the mean of all. Default: what the model's files say.
   * Needed for a model without modules.json.
   */
  pooling?: 'mean' | 'last' | undefined
}

/** Options of `embedder.embed`. */
export interface EmbedOptions {
  /**
   * Keep only this number of dimensions, the first ones, and normalize them again. That is of use with models that were trained
   * for it ("Matryoshka"). Default: all.
   */
  dimensions?: number | undefined
  /** The name of one of the model's `prompts`, which is put before each text. Default: the model's own choice, mostly none. */
  prompt?: string | undefined
  /** Stops before the next pass through the model; `embed` then rejects with an `AbortError`. */
  signal?: AbortSignal | undefined
}

/** Options of `reranker.rank`. */
export interface RankOptions {
  /** What makes a document relevant, in English. Default: that it answers a web search query. */
  instruction?: string | undefined
  /** Stops before the next pass through the model; `rank` then rejects with an `AbortError`. */
  signal?: AbortSignal | undefined
}

/** A document that was ranked. */
export interface RankedDocument {
  /** Its place among the documents that were given. */
  index: number
  /** How relevant it is, from 0 to 1. */
  score: number
}

/** Quantization of a model's weights. */
export interface Quantization {
  bits: number
  groupSize: number
  mode: string
}

/** Options of `tokenizer.encode`. */
export interface EncodeOptions {
  /** Add the tokens that the tokenizer puts around every text, such as beginning-of-sequence. Default true. */
  addSpecialTokens?: boolean | undefined
  /**
   * Encode the spelling of special tokens in the text, such as `<|im_end|>`, as ordinary text. Default false: they are
   * encoded as special tokens, unless tokenizer_config.json says otherwise.
   */
  splitSpecialTokens?: boolean | undefined
}

/** Options of `tokenizer.decode`. */
export interface DecodeOptions {
  /** Omit special tokens from the text. Default false. */
  skipSpecialTokens?: boolean | undefined
}

/** Options of `tokenizer.applyChatTemplate`. */
export interface ChatTemplateOptions {
  tools?: readonly Tool[] | undefined
  /** Documents for retrieval, for templates that support them. */
  documents?: readonly Readonly<Record<string, unknown>>[] | undefined
  /** Append the start of the assistant's turn. Default false. */
  addGenerationPrompt?: boolean | undefined
  /** Leave the last message open so that the model continues it. Default false. */
  continueFinalMessage?: boolean | undefined
  /** Extra variables for the template. */
  chatTemplateArgs?: Readonly<Record<string, unknown>> | undefined
}

/** Memory use of MLX, in bytes. */
export interface MemoryUsage {
  /** Memory held by arrays. */
  active: number
  /** Freed memory kept for reuse. */
  cache: number
  /** Highest value of `active` so far. */
  peak: number
}
