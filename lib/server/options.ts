// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The options of a run, as requests have them. Values that are passed on unchanged are checked by the run.

import { EFFORTS, type Effort } from '../effort'
import { invalidArgument } from '../errors'
import { isRecord, show } from '../options'
import type { GenerateOptions, JsonSchema, Tool } from '../types'
import type { Fields } from './fields'

/** Options that all endpoints have, by their fields. The last three are not OpenAI's. */
const SAMPLING: Readonly<Record<string, keyof GenerateOptions>> = {
  temperature: 'temperature',
  top_p: 'topP',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  logit_bias: 'logitBias',
  top_k: 'topK',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
}

/** The fields that the options of a run come from, where their names differ. */
export type FieldNames = Readonly<Record<string, string>>

export const SAMPLING_FIELDS: FieldNames = Object.fromEntries(
  Object.entries(SAMPLING).map(([field, option]) => [option, field]),
)

export function samplingOptions(body: Fields): GenerateOptions {
  const stop = body.any('stop')
  return {
    ...Object.fromEntries(
      Object.entries(SAMPLING).map(([field, option]) => [option, body.any(field)]),
    ),
    stop: (typeof stop === 'string' ? [stop] : stop) as GenerateOptions['stop'],
  }
}

/** The options of `tools` and `tool_choice`. A choice that the run cannot hold is refused by it. */
export function toolOptions(body: Fields): GenerateOptions {
  // Nothing keeps a model from calling several tools.
  body.oneOf('parallel_tool_calls', [true])
  const tools = body.list('tools')
  const toolChoice = toChoice(body.name('tool_choice'), body.any('tool_choice'))
  if (tools === undefined || tools.length === 0) {
    if (toolChoice !== undefined && toolChoice !== 'auto' && toolChoice !== 'none')
      throw invalidArgument('tool_choice', 'needs tools')
    return {}
  }
  const isStrict = tools.some((tool) => {
    return (
      isRecord(tool) && (isRecord(tool['function']) ? tool['function'] : tool)['strict'] === true
    )
  })
  return {
    tools: tools as Tool[],
    ...(toolChoice !== undefined && { toolChoice: toolChoice as GenerateOptions['toolChoice'] }),
    ...(isStrict && { strictTools: true }),
  }
}

/** Chat Completions has the name in an object of its own, Responses has not. */
function toChoice(where: string, choice: unknown): string | { name: unknown } | undefined {
  if (choice === undefined || typeof choice === 'string') return choice
  if (!isRecord(choice) || choice['type'] !== 'function')
    throw invalidArgument(
      where,
      `expected 'none', 'auto', 'required' or a function, got ${show(choice)}`,
    )
  const { name } = isRecord(choice['function']) ? choice['function'] : choice
  return { name }
}

export interface Format {
  options: GenerateOptions
  /** The name of the field with the schema. */
  field: string
}

/** What the answer must be: `response_format` of Chat Completions, `text.format` of Responses, which is flatter. */
export function formatOptions(format: Fields | undefined): Format {
  const type = format?.oneOf('type', ['text', 'json_object', 'json_schema'])
  const field = format?.name('type') ?? ''
  if (format === undefined || type === undefined || type === 'text') return { options: {}, field }
  if (type === 'json_object') return { options: { schema: { type: 'object' } }, field }
  const described = format.fields('json_schema') ?? format
  described.ignore('name', 'description', 'strict')
  const schema = described.required('schema', described.object('schema')) as JsonSchema
  described.end()
  format.end()
  return { options: { schema }, field: described.name('schema') }
}

export function toEffort(fields: Fields | undefined, key: string): Effort | undefined {
  return fields?.oneOf(key, EFFORTS)
}
