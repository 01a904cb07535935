// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { invalidArgument, NodeMlxError, settle } from './errors'
import { Generation } from './generation'
import { toHistory } from './messages'
import type { NativeGeneration, NativeModel, NativeSlot } from './native'
import {
  checkOptions,
  checkPath,
  joined,
  readable,
  RUN_OPTIONS,
  SEND_OPTIONS,
  toItems,
} from './options'
import { linkedTo, runTools } from './run'
import { openSavedChat, toSavedChat, type ChatState } from './saved-chat'
import { INSPECT } from './symbols'
import { toTemplateTools } from './tools'
import type {
  ChatOptions,
  ChatRunOptions,
  ChatRunResult,
  GenerationResult,
  Message,
  SendOptions,
  StandardSchema,
} from './types'

/** Starts a run with the caches kept in a slot. */
type StartRun = (
  messages: readonly Message[],
  options: SendOptions,
  slot: NativeSlot,
) => NativeGeneration

/** A message that was sent and has not been answered yet. */
interface Turn {
  messages: readonly Message[]
  signal: AbortSignal | undefined
  /** Whether the answer so far is kept if it is stopped. */
  keeps: boolean
  generation?: Generation
}

/**
 * A conversation. It keeps the messages and the KV cache of the tokens processed so far. Each run skips the tokens that
 * its prompt has in common with the previous run, or with another kept cache; `usage.cachedTokens` is their number. The chat
 * template renders the whole conversation every time, so the answers equal those of `model.generate` with the same messages.
 * (With `maxKvSize` or `kvBits` the cache is lossy, and the answers may differ.)
 *
 * Caches that cannot be trimmed (those of recurrent models and full sliding windows) are reused only if the new prompt
 * continues everything they hold.
 *
 * Caches are kept within the limit set by `setChatCacheLimit`. If the cache of a chat was evicted, its next answer only
 * starts more slowly. No other run takes it away or changes it. It is freed by {@link Chat.dispose}, with the model, or when
 * the chat is garbage-collected.
 */
export class Chat {
  readonly #run: StartRun
  readonly #slot: NativeSlot
  readonly #initial: readonly Message[]
  readonly #options: SendOptions
  #messages: readonly Message[]
  #turn: Turn | undefined
  /** Stops {@link Chat.run}. */
  #running: AbortController | undefined
  #disposed = false

  /** @internal Created by {@link startChat}. */
  constructor(run: StartRun, slot: NativeSlot, { initial, messages, options }: ChatState) {
    this.#run = run
    this.#slot = slot
    this.#initial = toHistory(initial)
    this.#messages = toHistory(messages)
    this.#options = options
    if (options.tools !== undefined) toTemplateTools(options.tools)
  }

  /**
   * The conversation so far, as a read-only copy. Assigning edits the conversation and aborts an answer in progress.
   *
   * ```ts
   * chat.messages = chat.messages.slice(0, -2) // removes the last question and its answer
   * ```
   *
   * @throws ERR_INVALID_ARG_VALUE
   */
  get messages(): readonly Message[] {
    return this.#messages
  }

  set messages(messages: readonly Message[]) {
    const history = toHistory(messages)
    this.#abort()
    this.#messages = history
  }

  /**
   * Sends one message (a string is a user message) or several, such as the results of several tool calls, and starts
   * the answer. Once the answer is complete, it and the messages are added to {@link Chat.messages}, whether or not the
   * Generation is consumed. If the answer fails or is aborted, also by `break`, the chat stays unchanged; with
   * `onAbort: 'keep'`, an aborted answer is added as far as it came, if anything did.
   *
   * Never throws. The Generation reports the errors of `model.generate`, and ERR_INVALID_STATE if another answer is in
   * progress or the chat is disposed.
   */
  send<T>(
    message: string | Message | readonly Message[],
    options: SendOptions & { schema: StandardSchema<T> },
  ): Generation<T>
  send(message: string | Message | readonly Message[], options?: SendOptions): Generation
  send(message: string | Message | readonly Message[], options: SendOptions = {}): Generation {
    const turn: Turn = { messages: [], signal: undefined, keeps: false }
    turn.generation = new Generation(
      () => joined(this.#options, checkOptions(options, SEND_OPTIONS)),
      (all) => {
        turn.signal = all.signal
        turn.keeps = all.onAbort === 'keep'
        const slot = this.#use()
        if (all.signal === undefined || all.signal !== this.#running?.signal) this.#checkIdle()
        turn.messages = [...this.#messages, ...toMessages(message)]
        const native = this.#run(turn.messages, all, slot)
        this.#turn = turn
        return native
      },
      (result) => this.#end(turn, result),
    )
    return turn.generation
  }

  /**
   * Sends a message as {@link Chat.send} does, executes the functions that the model calls, all of an answer's at the same
   * time, sends their results, and so on until it answers without a call. What a function throws, and that it took longer
   * than `toolTimeout`, the model is told as the result: `Error: …`. A library's schema validates and converts the
   * arguments first. A `toolChoice` other than `'none'` is for the first answer only.
   *
   * If the run fails or is aborted, the chat stays as it was; with `onAbort: 'keep'`, an aborted run resolves with what
   * it has, and the chat keeps that. Until it ends, the chat takes no other message.
   *
   * @throws the errors of `chat.send`; ERR_INVALID_ARG_VALUE for a tool without `execute`; what `onStep` throws
   */
  run<T>(
    message: string | Message | readonly Message[],
    options: ChatRunOptions & { schema: StandardSchema<T> },
  ): Promise<ChatRunResult<T>>
  run(
    message: string | Message | readonly Message[],
    options?: ChatRunOptions,
  ): Promise<ChatRunResult>
  async run(
    message: string | Message | readonly Message[],
    options: ChatRunOptions = {},
  ): Promise<ChatRunResult> {
    const all = joined(this.#options, checkOptions(options, RUN_OPTIONS))
    this.#checkIdle()
    const { controller: running, unlink } = linkedTo(all.signal)
    const before = this.#messages
    this.#running = running
    const conversation = {
      send: (sent: typeof message, given: SendOptions) => this.send(sent, given),
      add: (messages: readonly Message[]) => {
        if (this.#running === running) this.#messages = toHistory([...this.#messages, ...messages])
      },
      signal: running.signal,
    }
    try {
      return await runTools(conversation, message, all)
    } catch (error) {
      if (this.#running === running) this.#messages = before
      throw error
    } finally {
      unlink()
      if (this.#running === running) this.#running = undefined
    }
  }

  /** Restores the chat's initial messages and frees its cache. Aborts an answer in progress. */
  reset(): void {
    this.#abort()
    this.#messages = this.#initial
    this.#slot.free()
  }

  /**
   * Returns an independent chat with the same messages, options and cache. The cache is copied on the first write. A
   * message that has not been answered yet is not part of the fork.
   * @throws ERR_INVALID_STATE if the chat is disposed
   */
  fork(): Chat {
    return new Chat(this.#run, this.#use().fork(), this.#state)
  }

  /**
   * Writes the chat to a file, for `model.chat({ restore: path })`: messages, options and the KV cache, if there is one. A
   * file of that name is replaced, once the new one is complete. A message that has not been answered yet is not part of it,
   * and the cache is not either while an answer is in progress.
   *
   * Options that are functions or a signal are not saved, nor is `speculative` with a draft model; of tools and schemas,
   * their JSON schemas are. The file is a safetensors file, as large as the cache; it is not encrypted.
   *
   * @throws ERR_CHAT_FILE if the file cannot be written, ERR_INVALID_ARG_VALUE, or ERR_INVALID_STATE if the chat is
   *   disposed or its model is in another process
   */
  async save(path: string): Promise<void> {
    checkPath('path', path)
    const slot = this.#use()
    const chat = toSavedChat(this.#state)
    await settle(() => slot.save(path, chat))
  }

  /** Frees the cache and aborts an answer in progress. The messages stay readable. Further calls have no effect. */
  dispose(): void {
    this.#disposed = true
    this.#abort()
    this.#slot.free()
  }

  /** Same as {@link Chat.dispose}. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @internal */
  [INSPECT](): string {
    const isBusy = this.#turn !== undefined || this.#running !== undefined
    const state = this.#disposed ? ', disposed' : isBusy ? ', answering' : ''
    return `Chat (${this.#messages.length} messages${state})`
  }

  get #state(): ChatState {
    return { initial: this.#initial, messages: this.#messages, options: this.#options }
  }

  /** Throws if a run is under way that was not stopped. */
  #checkIdle(): void {
    if (this.#running !== undefined)
      throw invalidState('chat.run is under way: wait for it, abort it, or fork the chat')
    const turn = this.#turn
    if (turn !== undefined && (turn.keeps || turn.signal?.aborted !== true))
      throw invalidState('an answer is in progress: wait for it, cancel it, or fork the chat')
  }

  #use(): NativeSlot {
    if (this.#disposed) throw invalidState('the chat has been disposed')
    return this.#slot
  }

  #abort(): void {
    this.#running?.abort()
    this.#running = undefined
    const turn = this.#turn
    // What it still brings is not wanted, not even with `onAbort: 'keep'`.
    this.#turn = undefined
    turn?.generation?.cancel()
  }

  #end(turn: Turn, result: GenerationResult | undefined): void {
    if (this.#turn !== turn) return
    this.#turn = undefined
    if (result !== undefined && !isNothing(result))
      this.#messages = toHistory([...turn.messages, toAnswer(result)])
  }
}

/** Creates a chat, or continues one that was saved. The options are checked. */
export function startChat(
  run: StartRun,
  native: NativeModel,
  { restore, messages, ...options }: ChatOptions,
): Chat {
  if (restore === undefined) {
    const initial = messages ?? []
    return new Chat(run, native.slot(), { initial, messages: initial, options })
  }
  if (messages !== undefined) throw invalidArgument('messages', 'cannot be combined with restore')
  const { state, slot } = openSavedChat(native, restore)
  return new Chat(run, slot, { ...state, options: joined(state.options, options) })
}

/** Whether a run was stopped before the model said anything. */
function isNothing({ finishReason, text, reasoning, toolCalls }: GenerationResult): boolean {
  const isEmpty = text === '' && reasoning === undefined && toolCalls.length === 0
  return finishReason === 'aborted' && isEmpty
}

/** Returns the result as an assistant message. */
function toAnswer({ text, reasoning, toolCalls }: GenerationResult): Message {
  return {
    role: 'assistant',
    content: text,
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  }
}

function toMessages(message: string | Message | readonly Message[]): readonly Message[] {
  if (message === '') throw invalidArgument('message', 'must not be empty')
  if (typeof message === 'string') return [{ role: 'user', content: message }]
  const messages = readable('messages', () =>
    Array.isArray(message) ? (toItems('messages', message) as Message[]) : [message as Message],
  )
  if (messages.length === 0) throw invalidArgument('message', 'must not be empty')
  return messages
}

function invalidState(message: string): NodeMlxError {
  return new NodeMlxError('ERR_INVALID_STATE', message)
}
