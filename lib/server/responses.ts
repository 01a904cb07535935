// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// POST /v1/responses. Nothing is stored: the input has the whole conversation.

import { toEffortOptions } from '../effort'
import { toPartEvents, type Part } from '../parts'
import type { GenerateOptions, GenerationResult, Usage } from '../types'
import { toErrorBody } from './errors'
import type { Fields } from './fields'
import { formatOptions, SAMPLING_FIELDS, samplingOptions, toEffort, toolOptions } from './options'
import { toMessages } from './responses-input'
import { toItem, toPartOutput } from './responses-output'
import { makeId, now, toEventStream, whole, type Run, type StartRun, type Task } from './run'

/** What of the request the response repeats. */
const ECHOED = [
  'instructions',
  'metadata',
  'temperature',
  'top_p',
  'max_output_tokens',
  'reasoning',
]

export async function responses(body: Fields, startRun: StartRun): Promise<Response> {
  const isStream = body.boolean('stream') ?? false
  const echo = {
    ...Object.fromEntries(ECHOED.map((key) => [key, body.any(key) ?? null])),
    tools: body.any('tools') ?? [],
    tool_choice: body.any('tool_choice') ?? 'auto',
    text: body.any('text') ?? { format: { type: 'text' } },
  }
  const task = toTask(body)
  const run = await startRun(task)
  const head = {
    id: makeId('resp_'),
    object: 'response',
    created_at: now(),
    model: task.model,
    ...echo,
    parallel_tool_calls: true,
    previous_response_id: null,
    store: false,
    error: null,
  }
  if (!isStream) return Response.json(await whole(run, toResponse(run, head)))
  return toEventStream(run, toEvents(run, head), (error) => {
    const { message, param, code } = toErrorBody(error).error
    return toEvent({ type: 'error', code, message, param })
  })
}

function toTask(body: Fields): Task {
  const model = body.required('model', body.text('model'))
  const messages = toMessages(body)
  const text = body.fields('text')
  const format = formatOptions(text?.fields('format'))
  text?.ignore('verbosity')
  text?.end()
  const reasoning = body.fields('reasoning')
  const effort = toEffort(reasoning, 'effort')
  reasoning?.ignore('summary', 'generate_summary')
  reasoning?.end()
  const options: GenerateOptions = {
    ...samplingOptions(body),
    ...toolOptions(body),
    ...format.options,
    maxTokens: body.any('max_output_tokens') as number | undefined,
    sanitizeControlTokens: true,
  }
  body.oneOf('truncation', ['disabled'])
  body.oneOf('background', [false])
  body.ignore('stream_options', 'include', 'store', 'metadata', 'user', 'safety_identifier')
  body.ignore('service_tier', 'prompt_cache_key', 'prompt_cache_retention')
  body.end()
  return {
    model,
    prompt: messages,
    options: (loaded) => ({ ...options, ...toEffortOptions(effort, loaded) }),
    fields: {
      ...SAMPLING_FIELDS,
      prompt: 'input',
      maxTokens: 'max_output_tokens',
      reasoning: 'reasoning.effort',
      schema: format.field,
      toolChoice: 'tool_choice',
    },
  }
}

async function toResponse(run: Run, head: object): Promise<object> {
  const parts: Part[] = []
  for await (const { type, part } of toPartEvents(run.generation))
    if (type === 'end' && part.isWhole) parts.push(part)
  return finished(
    head,
    await run.generation,
    parts.map((part) => toItem(part)),
  )
}

async function* toEvents({ generation }: Run, head: object): AsyncGenerator<string, void> {
  let sequence = 0
  const number = (event: object): string => {
    sequence += 1
    return toEvent({ ...event, sequence_number: sequence - 1 })
  }
  const begun = {
    ...head,
    status: 'in_progress',
    output: [],
    usage: null,
    incomplete_details: null,
  }
  yield number({ type: 'response.created', response: begun })
  yield number({ type: 'response.in_progress', response: begun })
  const parts: Part[] = []
  for await (const event of toPartEvents(generation)) {
    if (event.type === 'start') parts.push(event.part)
    for (const output of toPartOutput(event)) yield number(output)
  }
  const response = finished(
    head,
    await generation,
    parts.map((part) => toItem(part)),
  )
  yield number({ type: `response.${response.status}`, response })
}

function finished(
  head: object,
  { finishReason, usage }: GenerationResult,
  output: object[],
): { status: string } {
  const isWhole = finishReason !== 'length'
  return {
    ...head,
    status: isWhole ? 'completed' : 'incomplete',
    incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
    output,
    usage: toUsage(usage),
  } as { status: string }
}

function toUsage(usage: Usage): object {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  }
}

/** The events of Responses have their type as a name, too. */
function toEvent(event: object): string {
  return `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`
}
