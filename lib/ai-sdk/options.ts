// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Converts the AI SDK's options of a call.

import type { LanguageModelV4CallOptions, SharedV4Warning } from '@ai-sdk/provider' with {
  'resolution-mode': 'import',
}
import type { Effort } from '../effort'
import { NodeMlxError } from '../errors'
import { withoutUndefined } from '../options'
import type { GenerateOptions, JsonSchema, Tool } from '../types'

/** Options of `generate` that the AI SDK has no names for, or that are to be other than the model's own. */
export type MlxSettings = Omit<
  GenerateOptions,
  | 'continueFinalMessage'
  | 'logprobs'
  | 'onAbort'
  | 'raw'
  | 'schema'
  | 'signal'
  | 'stop'
  | 'toolChoice'
  | 'tools'
>

/** A call, as the model understands it. */
export interface Call {
  options: GenerateOptions
  effort: Effort | undefined
  warnings: SharedV4Warning[]
}

/** What a model may refuse, and is then done without. */
const REFUSABLE: ReadonlySet<string> = new Set(['reasoning', 'toolChoice', 'strictTools'])

/** `defaults` count where the call says nothing. */
export function toCall(call: LanguageModelV4CallOptions, defaults: MlxSettings): Call {
  const { maxOutputTokens, temperature, topP, topK, presencePenalty, frequencyPenalty, seed } = call
  const { stopSequences, responseFormat, reasoning = 'provider-default', abortSignal } = call
  const schema = responseFormat?.type === 'json' ? (responseFormat.schema ?? {}) : undefined
  const warnings: SharedV4Warning[] = []
  const options = {
    ...defaults,
    ...withoutUndefined({
      maxTokens: maxOutputTokens,
      temperature,
      topP,
      topK,
      presencePenalty,
      frequencyPenalty,
      seed,
      stop: stopSequences,
      signal: abortSignal,
    }),
    ...(schema !== undefined && { schema: schema as JsonSchema }),
    ...toToolOptions(call, warnings),
    ...(call.providerOptions?.['mlx'] as MlxSettings | undefined),
  }
  return { options, effort: reasoning === 'provider-default' ? undefined : reasoning, warnings }
}

function toToolOptions(
  { tools = [], toolChoice }: LanguageModelV4CallOptions,
  warnings: SharedV4Warning[],
): GenerateOptions {
  let isStrict = false
  const converted = tools.flatMap((tool): Tool[] => {
    if (tool.type === 'provider') {
      warnings.push({ type: 'unsupported', feature: `the provider's tool ${tool.id}` })
      return []
    }
    const { name, description, inputExamples, strict = false } = tool
    if (inputExamples !== undefined)
      warnings.push({ type: 'unsupported', feature: `inputExamples of the tool ${name}` })
    isStrict ||= strict
    // The name of the dialect would only cost the model tokens.
    const { $schema: _, ...inputSchema } = tool.inputSchema
    return [{ name, description, inputSchema }]
  })
  if (converted.length === 0) return {}
  const choice = toolChoice?.type === 'tool' ? { name: toolChoice.toolName } : toolChoice?.type
  return {
    tools: converted,
    ...(choice !== undefined && { toolChoice: choice as GenerateOptions['toolChoice'] }),
    ...(isStrict ? { strictTools: true } : {}),
  }
}

/** If the error refuses an option that can be done without: what the call is without it, with a warning. */
export function withoutRefused(call: Call, error: unknown): Call | undefined {
  if (!(error instanceof NodeMlxError && error.code === 'ERR_INVALID_ARG_VALUE')) return undefined
  const name = String(error.details?.['name'])
  if (!REFUSABLE.has(name)) return undefined
  const isEffort = name === 'reasoning' && call.effort !== undefined
  if (!isEffort && !Object.hasOwn(call.options, name)) return undefined
  const options = Object.entries(call.options).filter(([key]) => key !== name)
  return {
    options: Object.fromEntries(options),
    effort: isEffort ? undefined : call.effort,
    warnings: [...call.warnings, { type: 'unsupported', feature: name, details: error.message }],
  }
}
