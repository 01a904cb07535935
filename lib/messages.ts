// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from './errors'
import { isRecord, readable, show, toItems, toOwn } from './options'
import { didYouMean } from './suggest'
import type { Message, MessageContent, TextPart, ToolCall } from './types'

const COMMON = ['role', 'content', 'name']

/** The properties that a message of each role may have. */
const KEYS: Readonly<Record<Message['role'], readonly string[]>> = {
  system: COMMON,
  developer: COMMON,
  user: COMMON,
  assistant: [...COMMON, 'reasoning', 'toolCalls'],
  tool: [...COMMON, 'toolCallId'],
}

/** A message in the format that chat templates expect. */
export interface TemplateMessage extends Record<string, unknown> {
  role: Message['role']
  content?: string
}

/** Checks a conversation and converts it to the format that chat templates expect. */
export function toTemplateMessages(messages: readonly Message[]): TemplateMessage[] {
  return readable('messages', () => {
    if (!Array.isArray(messages) || messages.length === 0) {
      throw invalidArgument('messages', 'expected at least one message')
    }
    return toItems('messages', messages).map(toTemplateMessage)
  })
}

function toTemplateMessage(given: unknown, index: number): TemplateMessage {
  const where = `messages[${index}]`
  // What is checked must be what is sent.
  const message: unknown = isRecord(given) ? toOwn(where, given) : given
  checkMessage(where, message)
  const { role, name } = message
  return {
    // Hardly a template knows the new name.
    role: role === 'developer' ? 'system' : role,
    ...templateContent(message),
    ...(name !== undefined && { name }),
    ...(role === 'tool' &&
      message.toolCallId !== undefined && { tool_call_id: message.toolCallId }),
    ...(role === 'assistant' && fromAssistant(where, message)),
  }
}

function checkMessage(where: string, message: unknown): asserts message is Message {
  if (!isRecord(message)) throw invalidArgument(where, `expected a message, got ${show(message)}`)
  const { role } = message
  if (typeof role !== 'string' || !Object.hasOwn(KEYS, role)) {
    const roles = Object.keys(KEYS)
    const meant = typeof role === 'string' ? didYouMean(role, roles) : ''
    throw invalidArgument(
      `${where}.role`,
      `expected one of ${roles.join(', ')}, got ${show(role)}${meant}`,
    )
  }
  const allowed = KEYS[role as Message['role']]
  const unknown = Object.keys(message).find((key) => !allowed.includes(key))
  if (unknown !== undefined) {
    throw invalidArgument(
      `${where}.${unknown}`,
      `unknown property; those of ${role === 'assistant' ? 'an' : 'a'} ${role} message are ` +
        `${allowed.join(', ')}${didYouMean(unknown, allowed)}`,
    )
  }
  const calls = message['toolCalls']
  const mayLackContent = role === 'assistant' && Array.isArray(calls) && calls.length > 0
  if (message['content'] !== undefined || !mayLackContent)
    checkContent(`${where}.content`, message['content'], role === 'assistant')
  for (const key of ['name', 'reasoning', 'toolCallId']) {
    const value = message[key]
    if (value !== undefined && typeof value !== 'string') {
      throw invalidArgument(`${where}.${key}`, `expected a string, got ${show(value)}`)
    }
  }
}

function checkContent(where: string, content: unknown, nullable: boolean): void {
  if (typeof content === 'string' || (nullable && content === null)) return
  if (!Array.isArray(content)) {
    throw invalidArgument(where, `expected a string or text parts, got ${show(content)}`)
  }
  const wrong = toItems(where, content).findIndex((part) => !isTextPart(part))
  if (wrong !== -1) throw invalidArgument(`${where}[${wrong}]`, "expected { type: 'text', text }")
}

function isTextPart(part: unknown): part is TextPart {
  return isRecord(part) && part['type'] === 'text' && typeof part['text'] === 'string'
}

/** A content that is null or missing is empty: templates would print it, or fail. */
function templateContent({ content }: Message): { content: string } {
  return { content: toText(content ?? '') }
}

/** Concatenates text parts, as mlx-lm's server does: not all templates support parts. */
function toText(content: MessageContent): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('')
}

function fromAssistant(
  where: string,
  { reasoning, toolCalls }: { reasoning?: string; toolCalls?: readonly ToolCall[] },
): Record<string, unknown> {
  if (toolCalls !== undefined && !Array.isArray(toolCalls)) {
    throw invalidArgument(`${where}.toolCalls`, `expected an array, got ${show(toolCalls)}`)
  }
  return {
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(toolCalls !== undefined && {
      tool_calls: toItems(`${where}.toolCalls`, toolCalls).map((call, index) =>
        toTemplateCall(`${where}.toolCalls[${index}]`, call),
      ),
    }),
  }
}

function toTemplateCall(where: string, call: unknown): Record<string, unknown> {
  if (!isRecord(call) || typeof call['name'] !== 'string' || !isRecord(call['arguments'])) {
    const isText = isRecord(call) && typeof call['arguments'] === 'string'
    const advice = isText ? '; the arguments are an object, not JSON' : ''
    throw invalidArgument(where, `expected { id?, name, arguments }${advice}`)
  }
  return {
    type: 'function',
    ...(call['id'] !== undefined && { id: call['id'] }),
    function: { name: call['name'], arguments: call['arguments'] },
  }
}

/** Returns a checked, frozen copy. */
export function toHistory(messages: unknown): readonly Message[] {
  return readable('messages', () => {
    if (!Array.isArray(messages)) {
      throw invalidArgument('messages', `expected an array, got ${show(messages)}`)
    }
    const copies = toItems('messages', messages) as Message[]
    if (copies.length > 0) toTemplateMessages(copies)
    return Object.freeze(copies.map((message) => Object.freeze({ ...message })))
  })
}
