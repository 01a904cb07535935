// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The messages of Chat Completions.

import { invalidArgument } from '../errors'
import { isRecord, show } from '../options'
import type { AssistantMessage, Message, ToolCall } from '../types'
import { each, Fields } from './fields'

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const

export function toMessages(body: Fields): Message[] {
  const messages = body.required('messages', body.list('messages'))
  return each('messages', messages, toMessage)
}

function toMessage(where: string, value: unknown): Message {
  const fields = new Fields(where, value)
  const role = fields.required('role', fields.oneOf('role', ROLES))
  const name = fields.text('name')
  const message = toRole(role, fields)
  fields.end()
  return { ...message, ...(name !== undefined && { name }) }
}

function toRole(role: (typeof ROLES)[number], fields: Fields): Message {
  const content = fields.any('content')
  const where = fields.name('content')
  if (role === 'assistant') return toAssistant(fields, content)
  const text = toText(where, fields.required('content', content))
  if (role !== 'tool') return { role, content: text }
  const toolCallId = fields.text('tool_call_id')
  return { role, content: text, ...(toolCallId !== undefined && { toolCallId }) }
}

function toAssistant(fields: Fields, content: unknown): AssistantMessage {
  // What answers have, too: clients send them back.
  fields.ignore('annotations', 'refusal', 'parsed')
  const reasoning = fields.text('reasoning_content')
  const calls = fields.list('tool_calls')
  return {
    role: 'assistant',
    content: content === undefined ? '' : toText(fields.name('content'), content),
    ...(reasoning !== undefined && { reasoning }),
    ...(calls !== undefined && { toolCalls: each(fields.name('tool_calls'), calls, toToolCall) }),
  }
}

function toToolCall(where: string, value: unknown): ToolCall {
  const fields = new Fields(where, value)
  fields.oneOf('type', ['function'])
  fields.ignore('index')
  const id = fields.text('id')
  const call = fields.required('function', fields.fields('function'))
  fields.end()
  const name = call.required('name', call.text('name'))
  const text = call.text('arguments')
  call.ignore('parsed_arguments')
  call.end()
  const parsed = parseArguments(call.name('arguments'), text)
  return { ...(id !== undefined && { id }), name, arguments: parsed }
}

/** The arguments of a call, which are JSON in a string. */
export function parseArguments(where: string, text: string | undefined): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text || '{}')
    if (isRecord(parsed)) return parsed
  } catch {
    // As for other values.
  }
  throw invalidArgument(where, 'expected a JSON object in a string')
}

/** A text, or the text of parts of these types. */
export function toText(
  where: string,
  content: unknown,
  types: readonly string[] = ['text'],
): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content))
    throw invalidArgument(where, `expected a string or an array of parts, got ${show(content)}`)
  return each(where, content, (part, value) => toPartText(part, value, types)).join('')
}

function toPartText(where: string, value: unknown, types: readonly string[]): string {
  const part = new Fields(where, value)
  part.required('type', part.oneOf('type', types))
  return part.required('text', part.text('text'))
}
