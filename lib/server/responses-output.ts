// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The parts of an answer as items of Responses, and the events in which these begin, grow and end.

import type { Part, PartEvent } from '../parts'
import { makeId } from './run'

const ids = new WeakMap<Part, string>()
const PREFIX = { text: 'msg_', reasoning: 'rs_', 'tool-call': 'fc_' }

function idOf(part: Part): string {
  const id = ids.get(part) ?? makeId(PREFIX[part.type])
  ids.set(part, id)
  return id
}

/** An item as it is when it begins: `text` is ''; or at its end. */
export function toItem(part: Part, status?: 'in_progress'): object {
  const isStart = status !== undefined
  const state = { id: idOf(part), status: status ?? (part.isWhole ? 'completed' : 'incomplete') }
  const content = isStart ? [] : [toContent(part, part.text)]
  if (part.type === 'text') return { type: 'message', ...state, role: 'assistant', content }
  if (part.type === 'reasoning') return { type: 'reasoning', ...state, summary: [], content }
  const { id: callId, name, text } = part
  return { type: 'function_call', ...state, call_id: callId, name, arguments: isStart ? '' : text }
}

function toContent({ type }: Part, text: string): object {
  if (type === 'reasoning') return { type: 'reasoning_text', text }
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

/** The events of a part, without their numbers. */
export function* toPartOutput(event: PartEvent): Generator<object, void> {
  const { type, part } = event
  const place = { output_index: part.index }
  const within = { item_id: idOf(part), ...place, content_index: 0 }
  if (type === 'start')
    yield { type: 'response.output_item.added', ...place, item: toItem(part, 'in_progress') }
  if (part.type === 'tool-call') yield* toCallOutput(event)
  else {
    const name = part.type === 'text' ? 'response.output_text' : 'response.reasoning_text'
    const logprobs = part.type === 'text' && { logprobs: [] }
    if (type === 'start')
      yield { type: 'response.content_part.added', ...within, part: toContent(part, '') }
    else if (type === 'delta')
      yield { type: `${name}.delta`, ...within, delta: event.delta, ...logprobs }
    else {
      yield { type: `${name}.done`, ...within, text: part.text, ...logprobs }
      yield { type: 'response.content_part.done', ...within, part: toContent(part, part.text) }
    }
  }
  if (type === 'end') yield { type: 'response.output_item.done', ...place, item: toItem(part) }
}

function* toCallOutput(event: PartEvent): Generator<object, void> {
  const { type, part } = event
  const name = 'response.function_call_arguments'
  const item = { item_id: idOf(part), output_index: part.index }
  if (type === 'delta') yield { type: `${name}.delta`, ...item, delta: event.delta }
  if (type === 'end') yield { type: `${name}.done`, ...item, name: part.name, arguments: part.text }
}
