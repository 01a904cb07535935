// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, NodeMlxError } from './errors'
import { type Room, toJson } from './json'
import { toTemplateMessages } from './messages'
import type { NativeModelInfo, NativePrompt } from './native'
import { isRecord, isUint32Array, readable, show } from './options'
import { toJsonSchema } from './schema'
import { didYouMean } from './suggest'
import { checkLogitBias, checkTokenIds } from './token-ids'
import { toTemplateTools, type FunctionTool } from './tools'
import type { GenerateOptions, Message, Prompt } from './types'

/** Checks a prompt and converts it for the addon. */
export function toNativePrompt(
  prompt: Prompt,
  raw: boolean,
  info: NativeModelInfo,
  room: Room,
): NativePrompt {
  return readable('prompt', () => toNative(prompt, raw, info, room))
}

function toNative(
  prompt: Prompt,
  raw: boolean,
  { contextLength, vocabSize }: NativeModelInfo,
  room: Room,
): NativePrompt {
  if (typeof prompt === 'string') {
    if (prompt === '') throw invalidArgument('prompt', 'must not be empty')
    room.take(['prompt'], prompt.length)
    return { type: raw ? 'raw' : 'text', text: prompt.toWellFormed() }
  }
  if (!Array.isArray(prompt) && !isUint32Array(prompt)) {
    throw invalidArgument('prompt', `expected a string, messages or token ids, got ${show(prompt)}`)
  }
  if (prompt.length === 0) throw invalidArgument('prompt', 'must not be empty')
  if (typeof prompt[0] === 'number') {
    if (prompt.length > contextLength) {
      throw new NodeMlxError(
        'ERR_CONTEXT_OVERFLOW',
        `the prompt has ${prompt.length} tokens, but the context length is ${contextLength}`,
        { details: { promptTokens: prompt.length, limit: contextLength } },
      )
    }
    return { type: 'tokens', tokens: checkTokenIds('prompt', prompt, vocabSize) }
  }
  const messages = toTemplateMessages(prompt as readonly Message[])
  return { type: 'messages', messages: toJson('messages', messages, room) }
}

/** The options that the addon acts on, as JSON; src/options.rs has the same names. */
export function toRunOptions(options: GenerateOptions, info: NativeModelInfo, room: Room): string {
  return readable('options', () => toRun(options, info, room))
}

function toRun(options: GenerateOptions, { vocabSize }: NativeModelInfo, room: Room): string {
  const { raw: _, signal: __, onPromptProgress: ___, tools, schema, regex, ...all } = options
  const { logitBias, logprobs = false, toolChoice, speculative } = options
  const templateTools = tools === undefined ? undefined : toTemplateTools(tools)
  if (typeof toolChoice === 'object') checkToolName(toolChoice.name, templateTools ?? [])
  const run = {
    ...all,
    ...(templateTools !== undefined && { tools: templateTools }),
    ...(schema !== undefined && { schema: toJsonSchema('schema', schema) }),
    ...(regex !== undefined && { regex: typeof regex === 'string' ? regex : regex.source }),
    ...(logitBias !== undefined && { logitBias: checkLogitBias(logitBias, vocabSize) }),
    ...(typeof speculative === 'object' && { speculative: { tokens: speculative.tokens } }),
    logprobs: typeof logprobs === 'number' ? logprobs : logprobs ? 0 : undefined,
  }
  return toJson('', run, room)
}

function checkToolName(name: string, tools: readonly FunctionTool[]): void {
  const names = tools.map((tool) => tool.function.name)
  if (names.includes(name)) return
  const known = names.length === 0 ? 'there are none' : `they are ${names.join(', ')}`
  throw invalidArgument(
    'toolChoice.name',
    `none of the tools is called ${show(name)}; ${known}${didYouMean(name, names)}`,
  )
}

export function refuseDraft(message: string): never {
  throw invalidArgument('speculative.draft', message)
}

/** Throws unless the prompt ends with an assistant message. */
export function checkContinuable(prompt: Prompt): void {
  const isContinuable = readable('prompt', () => {
    const last: unknown = Array.isArray(prompt) ? prompt.at(-1) : undefined
    return isRecord(last) && last['role'] === 'assistant'
  })
  if (isContinuable) return
  throw invalidArgument('continueFinalMessage', "the last message must have role 'assistant'")
}
