// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { abortError, fromNative, NodeMlxError } from './errors'
import type { NativeChunk, NativeGeneration } from './native'
import { toObject, type JsonSchema, type StandardSchema } from './schema'
import { INSPECT } from './symbols'
import { onAbort } from './signals'
import { toByteStream, toTexts } from './streams'
import type {
  GenerateOptions,
  GenerationChunk,
  GenerationResult,
  PromptProgress,
  ToolCall,
  Usage,
} from './types'

/** What a Generation needs from its caller. */
export interface GenerationOptions {
  signal?: AbortSignal | undefined
  onPromptProgress?: ((progress: PromptProgress) => void) | undefined
  logprobs?: boolean | number | undefined
  onAbort?: 'throw' | 'keep' | undefined
  schema?: JsonSchema | StandardSchema | undefined
  speculative?: GenerateOptions['speculative']
}

/** Told once how a run ended: with a result, or without one as soon as it is cancelled or has failed. */
type OnEnd = (result?: GenerationResult) => void

/** How a run ended. */
type Outcome<T> = { result: GenerationResult<T> } | { error: unknown }

/** Lets go of a run: stops the device, and the signal's hold on it. Must not refer to the Generation. */
type Release = () => void

/** Stops the runs of Generations that nobody holds any more. */
const dropped = new FinalizationRegistry<Release>((release) => release())

/**
 * One run of a model. It starts immediately and runs once, however it is consumed: await it for the complete answer,
 * iterate over it for its chunks, or both, any number of times. Every iterator yields all chunks from the first.
 *
 * Breaking out of a `for await` loop (`break`, `return`, `throw`), {@link Generation.cancel} and the signal stop the
 * run within one step, for all consumers. Other iterators and awaits then reject with an `AbortError` (code
 * `ABORT_ERR`), iterators after yielding the chunks generated so far; with `onAbort: 'keep'` they end with the answer so
 * far. A run without references stops when its Generation is garbage-collected.
 *
 * Errors, including those of invalid arguments, are reported only to consumers that await or iterate: a Generation that
 * is not consumed never raises an unhandled rejection.
 */
export class Generation<T = unknown>
  implements Promise<GenerationResult<T>>, AsyncIterable<GenerationChunk>
{
  readonly [Symbol.toStringTag] = 'Generation'
  #native: NativeGeneration | undefined
  #options: GenerationOptions = {}
  #release: Release = () => {}
  readonly #chunks: GenerationChunk[] = []
  #onEnd: OnEnd | undefined
  #outcome: Outcome<T> | undefined
  #pulling: Promise<void> | undefined

  /** @internal Made by `model.generate` and `chat.send`. */
  constructor(
    check: () => GenerationOptions,
    start: (checked: GenerationOptions) => NativeGeneration,
    onEnd?: OnEnd,
  ) {
    this.#onEnd = onEnd
    try {
      const options = check()
      const { signal, onPromptProgress } = options
      this.#options = options
      if (signal?.aborted && !this.#keeps) throw abortError(signal.reason)
      const native = start(options)
      this.#native = native
      this.#release = releaser(native, signal)
      dropped.register(this, this.#release, this)
      if (onPromptProgress !== undefined) void this.#pullPrompt()
      if (onEnd !== undefined) void this.#finish().catch(() => {})
    } catch (error) {
      this.#native?.cancel()
      this.#end({ error: fromNative(error, this.#options.signal) })
    }
  }

  get #keeps(): boolean {
    return this.#options.onAbort === 'keep'
  }

  /** Stops the run within one step. Has no effect once the run has ended. */
  cancel(): void {
    this.#native?.cancel()
    if (!this.#keeps) this.#tell()
  }

  /** The text of the answer as it arrives. Like the Generation, it starts from the first at every loop. */
  get textStream(): AsyncIterable<string> {
    return { [Symbol.asyncIterator]: () => toTexts(this[Symbol.asyncIterator]()) }
  }

  /**
   * Returns the text of the answer as a web stream of UTF-8, for `new Response(…)` and `pipeline`. Cancelling it stops
   * the run.
   */
  toReadableStream(): ReadableStream<Uint8Array> {
    return toByteStream(toTexts(this[Symbol.asyncIterator]()))
  }

  /** Attaches callbacks for the complete answer, as a promise does. */
  // oxlint-disable-next-line unicorn/no-thenable -- being awaitable is the point
  then<A = GenerationResult<T>, B = never>(
    onFulfilled?: ((result: GenerationResult<T>) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#finish().then(onFulfilled, onRejected)
  }

  /** Attaches a callback for the run's error, as a promise does. */
  catch<B = never>(
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<GenerationResult<T> | B> {
    return this.#finish().catch(onRejected)
  }

  /** Attaches a callback for the end of the run, as a promise does. */
  finally(onFinally?: (() => void) | null): Promise<GenerationResult<T>> {
    return this.#finish().finally(onFinally)
  }

  /** Yields all chunks, as they arrive. */
  [Symbol.asyncIterator](): AsyncIterableIterator<GenerationChunk> {
    let position = 0
    let left = false
    const iterator: AsyncIterableIterator<GenerationChunk> = {
      next: async () => {
        while (!left) {
          const value = this.#chunks[position]
          if (value !== undefined) {
            position += 1
            return { value, done: false }
          }
          if (this.#outcome === undefined) await this.#pull()
          else if ('error' in this.#outcome) throw this.#outcome.error
          else break
        }
        return { value: undefined, done: true }
      },
      return: async () => {
        left = true
        this.cancel()
        return { value: undefined, done: true }
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** Stops the run and waits until the device has released it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel()
    await this.#finish().catch(() => {})
  }

  /** @internal */
  [INSPECT](): string {
    const tokens = this.#chunks.reduce((sum, chunk) => sum + chunk.tokens.length, 0)
    return `Generation (${this.#state()}, ${tokens} tokens)`
  }

  #state(): string {
    if (this.#outcome === undefined) return 'running'
    if ('result' in this.#outcome) return this.#outcome.result.finishReason
    const { error } = this.#outcome
    return error instanceof NodeMlxError ? error.code : 'failed'
  }

  async #finish(): Promise<GenerationResult<T>> {
    while (this.#outcome === undefined) await this.#pull()
    if ('error' in this.#outcome) throw this.#outcome.error
    return this.#outcome.result
  }

  /** Progress is reported whether or not anybody reads the answer yet. */
  async #pullPrompt(): Promise<void> {
    while (this.#outcome === undefined && this.#chunks.length === 0) await this.#pull()
  }

  /** Fetches what the addon has made; shared by everybody who waits. Never rejects. */
  #pull(): Promise<void> {
    this.#pulling ??= this.#fetch().finally(() => {
      this.#pulling = undefined
    })
    return this.#pulling
  }

  async #fetch(): Promise<void> {
    const native = this.#native
    if (native === undefined) return
    try {
      const chunks = await native.next()
      if (chunks === null) this.#end({ result: await this.#result(native) })
      for (const chunk of chunks ?? []) this.#accept(chunk)
    } catch (error) {
      this.#end({ error: fromNative(error, this.#options.signal) })
    }
  }

  #accept(chunk: NativeChunk): void {
    if (this.#outcome !== undefined) return
    if (chunk.type !== 'prompt-progress') {
      this.#chunks.push(toChunk(chunk))
      return
    }
    const { processed, total } = chunk
    try {
      this.#options.onPromptProgress?.({ processed, total })
    } catch (error) {
      this.cancel()
      this.#end({ error })
    }
  }

  /** The first outcome counts. */
  #end(outcome: Outcome<T>): void {
    if (this.#outcome !== undefined) return
    this.#outcome = outcome
    dropped.unregister(this)
    this.#tell('result' in outcome ? outcome.result : undefined)
    this.#release()
  }

  #tell(result?: GenerationResult): void {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    onEnd?.(result)
  }

  async #result(native: NativeGeneration): Promise<GenerationResult<T>> {
    const { finishReason, stopString, peakMemory, ...statistics } = native.result()
    const { promptTokens, cachedTokens, completionTokens, reasoningTokens, ...others } = statistics
    const { draftedTokens, acceptedTokens, ...timings } = others
    const usage: Usage = { promptTokens, cachedTokens, completionTokens, reasoningTokens }
    const reasoning = this.#text('reasoning')
    const text = this.#text('text')
    const isWhole = finishReason === 'stop' && stopString === undefined
    const { schema, logprobs = false, speculative } = this.#options
    return {
      text,
      ...(reasoning !== '' && { reasoning }),
      ...(schema !== undefined && isWhole && { object: (await toObject(schema, text)) as T }),
      toolCalls: this.#chunks.flatMap((chunk) =>
        chunk.type === 'tool-call' ? [chunk.toolCall] : [],
      ),
      tokens: this.#chunks.flatMap((chunk) => chunk.tokens),
      finishReason,
      ...(stopString !== undefined && { stopString }),
      ...(logprobs !== false && {
        logprobs: this.#chunks.flatMap((chunk) => chunk.logprobs ?? []),
      }),
      usage: speculative === undefined ? usage : { ...usage, draftedTokens, acceptedTokens },
      timings,
      peakMemory,
    }
  }

  #text(type: 'text' | 'reasoning'): string {
    return this.#chunks.map((chunk) => (chunk.type === type ? chunk.text : '')).join('')
  }
}

function toChunk(chunk: Exclude<NativeChunk, { type: 'prompt-progress' }>): GenerationChunk {
  switch (chunk.type) {
    case 'tool-call-delta':
      return { ...chunk, text: '' }
    case 'tool-call': {
      const { id, name, arguments: json, ...rest } = chunk
      const call = { id, name, arguments: JSON.parse(json) as ToolCall['arguments'] }
      return { ...rest, text: '', toolCall: call }
    }
    default:
      return chunk
  }
}

/** Bridges the signal onto the run; the function given back undoes that and stops the run. */
function releaser(native: NativeGeneration, signal: AbortSignal | undefined): Release {
  const cancel = () => native.cancel()
  const forgetSignal = onAbort(signal, cancel)
  if (signal?.aborted) cancel()
  return () => {
    forgetSignal()
    cancel()
  }
}
