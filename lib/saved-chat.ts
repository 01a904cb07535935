// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a file says of a chat, besides its caches.

import { fromNative, NodeMlxError } from './errors'
import { toJson } from './json'
import { toHistory } from './messages'
import type { NativeModel, NativeSlot } from './native'
import { checkOptions, isRecord, SEND_OPTIONS } from './options'
import { toJsonSchema } from './schema'
import { toTemplateTools } from './tools'
import type { Message, SendOptions } from './types'

/** A chat without its run in progress. */
export interface ChatState {
  /** The messages that `reset` goes back to. */
  initial: readonly Message[]
  messages: readonly Message[]
  options: SendOptions
}

/** Returns a chat as JSON. Of functions and schemas of libraries, it keeps the JSON schemas; signals, callbacks and draft models are left out. */
export function toSavedChat({ initial, messages, options }: ChatState): string {
  const { signal: _, onPromptProgress: __, tools, schema, regex, logitBias, ...all } = options
  const { speculative, ...others } = all
  const plain: SendOptions = {
    ...others,
    ...(typeof speculative === 'string' && { speculative }),
    ...(tools !== undefined && { tools: toTemplateTools(tools) }),
    ...(schema !== undefined && { schema: toJsonSchema('schema', schema) }),
    ...(regex !== undefined && { regex: typeof regex === 'string' ? regex : regex.source }),
    ...(logitBias !== undefined && {
      logitBias: Object.fromEntries(
        logitBias instanceof Map ? logitBias : Object.entries(logitBias),
      ) as Record<number, number>,
    }),
  }
  return toJson('', { initial, messages, options: plain })
}

/** Reads a file, which may hold anything. */
export function openSavedChat(
  native: NativeModel,
  path: string,
): { state: ChatState; slot: NativeSlot } {
  try {
    const restored = native.restore(path)
    return { state: fromSavedChat(path, restored.chat), slot: restored.slot() }
  } catch (error) {
    throw fromNative(error)
  }
}

function fromSavedChat(path: string, json: string): ChatState {
  try {
    const { initial, messages, options } = JSON.parse(json) as Record<string, unknown>
    if (!isRecord(options)) throw new Error('options: expected an object')
    const checked = checkOptions<SendOptions>(options, SEND_OPTIONS)
    if (checked.tools !== undefined) toTemplateTools(checked.tools)
    return { initial: toHistory(initial), messages: toHistory(messages), options: checked }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `the saved chat '${path}' is damaged: ${reason}`
    throw new NodeMlxError('ERR_CHAT_FILE', message, { details: { path }, cause })
  }
}
