// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The input of Responses: messages, calls and their results are items of one list.

import { invalidArgument } from '../errors'
import { show } from '../options'
import type { AssistantMessage, Message, ToolCall } from '../types'
import { each, Fields } from './fields'
import { parseArguments, toText } from './messages'

const TYPES = ['message', 'function_call', 'function_call_output', 'reasoning'] as const
const ROLES = ['system', 'developer', 'user', 'assistant'] as const
const TEXTS = ['input_text', 'output_text', 'text']

export function toMessages(body: Fields): Message[] {
  const instructions = body.text('instructions')
  const input = body.required('input', body.any('input'))
  if (typeof input !== 'string' && !Array.isArray(input))
    throw invalidArgument('input', `expected a string or an array of items, got ${show(input)}`)
  const system: Message[] =
    instructions === undefined ? [] : [{ role: 'system', content: instructions }]
  if (typeof input === 'string') return [...system, { role: 'user', content: input }]
  return [...system, ...joinTurns(each('input', input, toItem))]
}

function toItem(where: string, value: unknown): Message {
  const fields = new Fields(where, value)
  // A message may leave out its type.
  const type = fields.oneOf('type', TYPES) ?? 'message'
  fields.ignore('id', 'status', 'phase')
  const message = ITEMS[type](fields)
  fields.end()
  return message
}

const ITEMS: Record<(typeof TYPES)[number], (fields: Fields) => Message> = {
  message: (fields) => {
    const role = fields.required('role', fields.oneOf('role', ROLES))
    const content = fields.required('content', fields.any('content'))
    return { role, content: toText(fields.name('content'), content, TEXTS) }
  },
  function_call: (fields) => {
    const id = fields.text('call_id')
    const name = fields.required('name', fields.text('name'))
    const args = parseArguments(fields.name('arguments'), fields.text('arguments'))
    fields.ignore('parsed_arguments')
    return {
      role: 'assistant',
      content: '',
      toolCalls: [{ ...(id !== undefined && { id }), name, arguments: args }],
    }
  },
  function_call_output: (fields) => {
    const toolCallId = fields.required('call_id', fields.text('call_id'))
    const output = fields.required('output', fields.any('output'))
    return { role: 'tool', toolCallId, content: toText(fields.name('output'), output, TEXTS) }
  },
  reasoning: (fields) => {
    fields.ignore('summary', 'encrypted_content')
    const content = fields.list('content') ?? []
    const reasoning = toText(fields.name('content'), content, ['reasoning_text'])
    return { role: 'assistant', content: '', ...(reasoning !== '' && { reasoning }) }
  },
}

type Turn = AssistantMessage & { toolCalls?: ToolCall[] }

/** What a model said in one turn is one message: its reasoning, its text and its calls. */
function joinTurns(messages: readonly Message[]): Message[] {
  const joined: Message[] = []
  for (const message of messages) {
    const last = joined.at(-1)
    if (last?.role === 'assistant' && message.role === 'assistant') add(last as Turn, message)
    else joined.push(message)
  }
  return joined
}

function add(turn: Turn, { content, reasoning, toolCalls }: AssistantMessage): void {
  if (typeof content === 'string') turn.content = `${turn.content as string}${content}`
  if (reasoning !== undefined) turn.reasoning = `${turn.reasoning ?? ''}${reasoning}`
  if (toolCalls !== undefined) (turn.toolCalls ??= []).push(...toolCalls)
}
