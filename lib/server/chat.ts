// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// POST /v1/chat/completions

import { toEffortOptions } from '../effort'
import { invalidArgument } from '../errors'
import { toPartEvents, type Part, type PartEvent } from '../parts'
import type { GenerateOptions, GenerationResult, Usage } from '../types'
import type { Fields } from './fields'
import { Speller } from './logprobs'
import { toMessages } from './messages'
import { formatOptions, SAMPLING_FIELDS, samplingOptions, toEffort, toolOptions } from './options'
import {
  makeId,
  now,
  toEvent,
  toEventStream,
  whole,
  type Run,
  type StartRun,
  type Task,
} from './run'

interface Request {
  task: Task
  isStream: boolean
  hasUsage: boolean
}

export async function chatCompletions(body: Fields, startRun: StartRun): Promise<Response> {
  const { task, isStream, hasUsage } = toRequest(body)
  const run = await startRun(task)
  const head = { id: makeId('chatcmpl-'), created: now(), model: task.model }
  const speller = new Speller(run.model)
  if (!isStream) return Response.json(await whole(run, toCompletion(run, head, speller)))
  return toEventStream(run, toChunks(run, head, speller, hasUsage))
}

function toRequest(body: Fields): Request {
  const model = body.required('model', body.text('model'))
  const messages = toMessages(body)
  const isStream = body.boolean('stream') ?? false
  const { logprobs } = readLogprobs(body)
  const maxField =
    body.any('max_completion_tokens') === undefined ? 'max_tokens' : 'max_completion_tokens'
  const maxTokens = body.any(maxField) as number | undefined
  const effort = toEffort(body, 'reasoning_effort')
  const format = formatOptions(body.fields('response_format'))
  const chatTemplateArgs = body.object('chat_template_kwargs')
  const options: GenerateOptions = {
    ...samplingOptions(body),
    ...toolOptions(body),
    ...format.options,
    logprobs,
    maxTokens,
    sanitizeControlTokens: true,
    chatTemplateArgs,
  }
  const hasUsage = readStreamOptions(body)
  body.oneOf('n', [1])
  body.ignore('max_tokens', 'metadata', 'store', 'user', 'safety_identifier', 'service_tier')
  body.ignore('prompt_cache_key', 'prompt_cache_retention')
  body.end()
  return {
    isStream,
    hasUsage,
    task: {
      model,
      prompt: messages,
      options: (loaded) => ({ ...options, ...toEffortOptions(effort, loaded, chatTemplateArgs) }),
      fields: {
        ...SAMPLING_FIELDS,
        prompt: 'messages',
        maxTokens: maxField,
        logprobs: 'top_logprobs',
        reasoning: 'reasoning_effort',
        schema: format.field,
        toolChoice: 'tool_choice',
        chatTemplateArgs: 'chat_template_kwargs',
      },
    },
  }
}

function readLogprobs(body: Fields): GenerateOptions {
  const isWanted = body.boolean('logprobs') ?? false
  const top = body.any('top_logprobs') as number | undefined
  if (top !== undefined && !isWanted) throw invalidArgument('top_logprobs', 'needs logprobs: true')
  return { logprobs: isWanted && (top ?? true) }
}

/** Whether the stream ends with the usage. */
export function readStreamOptions(body: Fields): boolean {
  const options = body.fields('stream_options')
  const hasUsage = options?.boolean('include_usage') ?? false
  options?.ignore('include_obfuscation')
  options?.end()
  return hasUsage
}

async function toCompletion(run: Run, head: object, speller: Speller): Promise<object> {
  const result = await run.generation
  const { text, reasoning, toolCalls, logprobs } = result
  const calls = toolCalls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(args) },
  }))
  const message = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
  const choice = {
    index: 0,
    message,
    logprobs:
      logprobs === undefined ? null : { content: await spellText(run, speller), refusal: null },
    finish_reason: toFinishReason(result),
  }
  return { ...head, object: 'chat.completion', choices: [choice], usage: toUsage(result.usage) }
}

/** The log-probabilities of the text: neither the reasoning's nor those of tool calls. */
async function spellText({ generation }: Run, speller: Speller): Promise<object[]> {
  const parts: Part[] = []
  for await (const { type, part } of toPartEvents(generation)) if (type === 'end') parts.push(part)
  return speller.spell(parts.flatMap(({ logprobs }) => logprobs))
}

async function* toChunks(
  { generation }: Run,
  head: object,
  speller: Speller,
  hasUsage: boolean,
): AsyncGenerator<string, void> {
  const base = { ...head, object: 'chat.completion.chunk' }
  const toChunk = (delta: object, more: object = {}): string => {
    const choice = { index: 0, delta, logprobs: null, finish_reason: null, ...more }
    return toEvent({ ...base, choices: [choice], ...(hasUsage && { usage: null }) })
  }
  yield toChunk({ role: 'assistant', content: '', refusal: null })
  const calls = new Map<Part, number>()
  for await (const event of toPartEvents(generation)) {
    const delta = toDelta(event, calls)
    if (delta === undefined) continue
    const logprobs = event.type === 'delta' ? event.logprobs : []
    const spelled = logprobs.length > 0 && {
      logprobs: { content: await speller.spell(logprobs), refusal: null },
    }
    yield toChunk(delta, { ...spelled })
  }
  const result = await generation
  yield toChunk({}, { finish_reason: toFinishReason(result) })
  if (hasUsage) yield toEvent({ ...base, choices: [], usage: toUsage(result.usage) })
  yield 'data: [DONE]\n\n'
}

function toDelta(event: PartEvent, calls: Map<Part, number>): object | undefined {
  const { type, part } = event
  if (part.type !== 'tool-call') {
    if (type !== 'delta') return undefined
    return part.type === 'text' ? { content: event.delta } : { reasoning_content: event.delta }
  }
  if (event.type === 'end') return undefined
  const index = calls.get(part) ?? calls.size
  calls.set(part, index)
  const call =
    event.type === 'start'
      ? { id: part.id, type: 'function', function: { name: part.name, arguments: '' } }
      : { function: { arguments: event.delta } }
  return { tool_calls: [{ index, ...call }] }
}

function toFinishReason({ finishReason }: GenerationResult): string {
  return finishReason === 'tool-calls' ? 'tool_calls' : finishReason
}

export function toUsage(usage: Usage): object {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: reasoningTokens },
  }
}
