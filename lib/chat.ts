// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import { invalidArgument, NodeMlxError } from './errors'
import { Generation } from './generation'
import { toTemplateMessages } from './messages'
import type { NativeGeneration, NativeSlot } from './native'
import { checkOptions, SEND_OPTIONS, show, withoutUndefined } from './options'
import type { ChatOptions, GenerationResult, Message, SendOptions } from './types'

/** Starts a run with the caches that wait in a slot. */
type StartRun = (
  messages: readonly Message[],
  options: SendOptions,
  slot: NativeSlot,
) => NativeGeneration

/** A message that was sent and has no answer yet. */
interface Turn {
  messages: readonly Message[]
  signal: AbortSignal | undefined
  generation?: Generation
}

/**
 * A conversation. It keeps the messages, and the KV cache of what the model has seen: each run processes only what
 * comes after the tokens that it has in common with the one before, and `usage.cachedTokens` tells how many those are.
 * The chat template renders the whole conversation every time, so the answers are those of `model.generate` with the
 * same messages. (With `maxKvSize` or `kvBits` a cache loses something as it grows; then they may differ.)
 *
 * Caches that cannot be cut, those of recurrent models and of sliding windows that are full, are reused only
 * where the new prompt continues all that they hold.
 *
 * Caches are kept within the limit that `setChatCacheLimit` sets; a chat whose cache had to go answers more slowly the
 * next time, nothing else. They are freed by {@link Chat.dispose}, with the model, or when the chat is garbage-collected.
 */
export class Chat {
  readonly #run: StartRun
  readonly #slot: NativeSlot
  readonly #initial: readonly Message[]
  readonly #options: SendOptions
  #messages: readonly Message[]
  #turn: Turn | undefined
  #disposed = false

  /** @internal Made by `model.chat`. */
  constructor(run: StartRun, slot: NativeSlot, { messages = [], ...options }: ChatOptions) {
    this.#run = run
    this.#slot = slot
    this.#initial = toHistory(messages)
    this.#messages = this.#initial
    this.#options = options
  }

  /**
   * The conversation so far: a read-only copy. Assign to it to edit the conversation; an answer that is under way is
   * then aborted.
   *
   * ```ts
   * chat.messages = chat.messages.slice(0, -2) // takes back the last question and its answer
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
   * Sends a message, a string being the user's, or several, such as the results of several tool calls, and starts the
   * answer. Once that is complete, all are added to
   * {@link Chat.messages}, whether or not anybody reads the Generation. If it fails or is aborted, by `break` too,
   * none is: the chat is as it was before.
   *
   * Never throws; the Generation reports the errors of `model.generate`, and ERR_INVALID_STATE if another answer is
   * under way or the chat is disposed.
   */
  send(message: string | Message | readonly Message[], options: SendOptions = {}): Generation {
    const all: SendOptions = { ...this.#options, ...withoutUndefined(options ?? {}) }
    const turn: Turn = { messages: [], signal: all.signal }
    turn.generation = new Generation(
      () => {
        checkOptions(options, SEND_OPTIONS)
        const slot = this.#use()
        if (this.#turn !== undefined && this.#turn.signal?.aborted !== true) {
          throw invalidState('an answer is under way: wait for it, cancel it, or fork the chat')
        }
        turn.messages = [...this.#messages, ...toMessages(message)]
        const native = this.#run(turn.messages, all, slot)
        this.#turn = turn
        return native
      },
      all,
      (result) => this.#end(turn, result),
    )
    return turn.generation
  }

  /** Goes back to the messages that the chat was made with, and frees its cache. Aborts an answer that is under way. */
  reset(): void {
    this.#abort()
    this.#messages = this.#initial
    this.#slot.free()
  }

  /**
   * A second chat with the same messages, options and cache, which then goes its own way. The cache is copied when one
   * of them adds to it, not before. A message that has no answer yet is not part of the fork.
   * @throws ERR_INVALID_STATE if the chat is disposed
   */
  fork(): Chat {
    const fork = new Chat(this.#run, this.#use().fork(), {
      ...this.#options,
      messages: this.#initial,
    })
    fork.#messages = this.#messages
    return fork
  }

  /** Frees the cache, and aborts an answer that is under way. The messages stay readable. Calling it again is fine. */
  dispose(): void {
    this.#disposed = true
    this.#abort()
    this.#slot.free()
  }

  /** Same as {@link Chat.dispose}. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  #use(): NativeSlot {
    if (this.#disposed) throw invalidState('the chat has been disposed')
    return this.#slot
  }

  #abort(): void {
    this.#turn?.generation?.cancel()
  }

  #end(turn: Turn, result: GenerationResult | undefined): void {
    if (this.#turn !== turn) return
    this.#turn = undefined
    if (result !== undefined) this.#messages = toHistory([...turn.messages, toAnswer(result)])
  }
}

/** What the model said, as a message. */
function toAnswer({ text, reasoning, toolCalls }: GenerationResult): Message {
  return {
    role: 'assistant',
    content: text,
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  }
}

function toMessages(message: string | Message | readonly Message[]): readonly Message[] {
  if (message === '' || (Array.isArray(message) && message.length === 0)) {
    throw invalidArgument('message', 'must not be empty')
  }
  if (typeof message === 'string') return [{ role: 'user', content: message }]
  return Array.isArray(message) ? message : [message as Message]
}

/** A copy that nobody can change. */
function toHistory(messages: readonly Message[]): readonly Message[] {
  if (!Array.isArray(messages)) {
    throw invalidArgument('messages', `expected an array, got ${show(messages)}`)
  }
  if (messages.length > 0) toTemplateMessages(messages)
  return Object.freeze(messages.map((message) => Object.freeze({ ...message })))
}

function invalidState(message: string): NodeMlxError {
  return new NodeMlxError('ERR_INVALID_STATE', message)
}
