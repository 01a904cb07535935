// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Converts the AI SDK's prompts.

import type {
  LanguageModelV4Message,
  LanguageModelV4Prompt,
  LanguageModelV4ToolResultOutput,
} from '@ai-sdk/provider' with { 'resolution-mode': 'import' }
import { invalidArgument } from '../errors'
import type { AssistantMessage, Message, ToolCall, ToolMessage } from '../types'

type Role = LanguageModelV4Message['role']
type MessageOf<R extends Role> = Extract<LanguageModelV4Message, { role: R }>
type Part = Exclude<LanguageModelV4Message['content'], string>[number]

/** @throws ERR_INVALID_ARG_VALUE for what a model cannot read, such as an image */
export function toMessages(prompt: LanguageModelV4Prompt): Message[] {
  return prompt.flatMap((message, index) => toMessage(`prompt[${index}]`, message))
}

function toMessage(where: string, message: LanguageModelV4Message): Message[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }]
    case 'user':
      return [{ role: 'user', content: toText(where, message.content) }]
    case 'assistant':
      return [toAssistant(where, message)]
    case 'tool':
      return toToolMessages(where, message)
  }
}

function toAssistant(where: string, { content }: MessageOf<'assistant'>): AssistantMessage {
  const reasoning = content.map((part) => (part.type === 'reasoning' ? part.text : '')).join('')
  const toolCalls = content.flatMap((part): ToolCall[] =>
    part.type === 'tool-call'
      ? [
          {
            id: part.toolCallId,
            name: part.toolName,
            arguments: part.input as ToolCall['arguments'],
          },
        ]
      : [],
  )
  return {
    role: 'assistant',
    content: toText(where, content, isOther),
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  }
}

function toToolMessages(where: string, { content }: MessageOf<'tool'>): ToolMessage[] {
  return content.flatMap((part, index) => {
    // The approval of a call that the provider would execute.
    if (part.type !== 'tool-result') return []
    const output = toOutput(`${where}.content[${index}].output`, part.output)
    return [{ role: 'tool', toolCallId: part.toolCallId, name: part.toolName, content: output }]
  })
}

function toOutput(where: string, output: LanguageModelV4ToolResultOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value)
    case 'execution-denied':
      return output.reason ?? 'The execution of this tool was denied.'
    case 'content':
      return output.value
        .map((part, index) => toPartText(`${where}.value[${index}]`, part))
        .join('')
  }
}

function toText(
  where: string,
  content: readonly Part[],
  isText = (_: Part): boolean => true,
): string {
  return content
    .map((part, index) => (isText(part) ? toPartText(`${where}.content[${index}]`, part) : ''))
    .join('')
}

/** Whether it is neither reasoning nor a call, which messages have beside their text. */
function isOther({ type }: Part): boolean {
  return type !== 'reasoning' && type !== 'tool-call'
}

type ContentPart =
  Part | Extract<LanguageModelV4ToolResultOutput, { type: 'content' }>['value'][number]

function toPartText(where: string, part: ContentPart): string {
  if (part.type === 'text') return part.text
  if (part.type === 'file' && part.data.type === 'text') return part.data.text
  const what =
    part.type === 'file' ? `a file of type ${part.mediaType}` : `a part of type ${part.type}`
  throw invalidArgument(where, `${what} is not supported: models read text only`)
}
