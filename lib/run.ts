// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A conversation in which the functions that the model calls are executed.

import { abortError, invalidArgument } from './errors'
import { toJson } from './json'
import { isRecord, show } from './options'
import type { ChatRunResult, ChatStep, GenerationResult, ToolResult, Usage } from './results'
import { validated } from './schema'
import { onAbort, orAborted } from './signals'
import { toTemplateTools, type ToolContext, type ToolFunction } from './tools'
import type { ChatRunOptions, Message, SendOptions, Tool, ToolCall, ToolMessage } from './types'

const DEFAULT_MAX_STEPS = 10

/** What is sent to the model. */
type Sent = string | Message | readonly Message[]

/** What the loop does with a chat. */
export interface Conversation {
  send: (message: Sent, options: SendOptions) => PromiseLike<GenerationResult>
  /** Adds messages that get no answer. */
  add: (messages: readonly Message[]) => void
  signal: AbortSignal
}

/** Sends a message, and the results of the functions that the model calls, until it answers without a call. */
export async function runTools(
  { send, add, signal }: Conversation,
  message: Sent,
  { maxSteps = DEFAULT_MAX_STEPS, toolTimeout, onStep, ...options }: ChatRunOptions,
): Promise<ChatRunResult> {
  const { tools = [], toolChoice, onAbort: end } = options
  const functions = toFunctions(tools)
  const steps: ChatStep[] = []
  // A call that must come is one for the first answer: otherwise there would be no last one.
  const later = {
    ...options,
    signal,
    toolChoice: toolChoice === 'none' ? toolChoice : 'auto',
  } as const
  let next = message
  for (;;) {
    const answer = await send(next, steps.length === 0 ? { ...options, signal } : later)
    const isLast = answer.finishReason !== 'tool-calls' || steps.length + 1 === maxSteps
    const called = isLast ? [] : answer.toolCalls
    const toolResults = await Promise.all(
      called.map((toolCall) => settle(toolCall, functions, signal, toolTimeout)),
    )
    const step = { ...answer, toolResults }
    steps.push(step)
    if (!signal.aborted) await onStep?.(step)
    const result = { ...answer, usage: totalUsage(steps), steps }
    if (isLast) return result
    next = toolResults.map(toToolMessage)
    if (!signal.aborted) continue
    if (end !== 'keep') throw abortError(signal.reason)
    add(next)
    return { ...result, finishReason: 'aborted' }
  }
}

/** A tool that can be executed. */
interface Executable {
  execute: ToolFunction
  /** What its arguments are checked against, besides the tool's JSON schema. */
  schema: unknown
}

/** Returns the functions by their names. */
function toFunctions(tools: readonly Tool[]): Map<string, Executable> {
  const names = toTemplateTools(tools).map((tool) => tool.function.name)
  const entries = tools.map((tool, index): [string, Executable] => {
    const { execute } = tool
    if (execute === undefined)
      throw invalidArgument(
        `tools[${index}].execute`,
        `expected a function, got ${show(execute)}; chat.send leaves executing to you`,
      )
    const described = 'function' in tool ? tool.function : tool
    const inputSchema = 'inputSchema' in described ? described.inputSchema : undefined
    return [names[index] ?? '', { execute, schema: described.parameters ?? inputSchema }]
  })
  return new Map(entries)
}

/** Calls a function. Its errors become the result, which the model is told. */
async function settle(
  toolCall: Required<ToolCall>,
  tools: ReadonlyMap<string, Executable>,
  signal: AbortSignal,
  timeout: number | undefined,
): Promise<ToolResult> {
  try {
    const tool = tools.get(toolCall.name)
    if (tool === undefined) {
      const names = [...tools.keys()].join(', ')
      throw invalidArgument(
        toolCall.name,
        `there is no such function; those that exist are ${names}`,
      )
    }
    const output = await within(timeout, signal, (context) => call(tool, toolCall, context))
    return { toolCall, output, content: toContent(output) }
  } catch (error) {
    const { message = String(error) } = isRecord(error) ? (error as Partial<Error>) : {}
    return { toolCall, error, content: `Error: ${message}` }
  }
}

async function call(
  { execute: run, schema }: Executable,
  { id, name, arguments: given }: Required<ToolCall>,
  abortSignal: AbortSignal,
): Promise<unknown> {
  const args = await validated(schema, given, `arguments of ${name}`, JSON.stringify(given))
  const context: ToolContext = { toolCallId: id, abortSignal }
  return run(args, context) as unknown
}

/** Settles like what `start` returns, or rejects if that takes too long or the signal is aborted. */
async function within<T>(
  timeout: number | undefined,
  signal: AbortSignal,
  start: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { controller, unlink } = linkedTo(signal)
  const expire = (): void =>
    controller.abort(new DOMException(`the call took longer than ${timeout} ms`, 'TimeoutError'))
  const timer = timeout === undefined ? undefined : setTimeout(expire, timeout)
  try {
    return await orAborted(start(controller.signal), controller.signal)
  } finally {
    clearTimeout(timer)
    unlink()
  }
}

/** Returns a controller that aborts when the signal is aborted. */
export function linkedTo(signal: AbortSignal | undefined): {
  controller: AbortController
  unlink: () => void
} {
  const controller = new AbortController()
  const stop = (): void => controller.abort(signal?.reason)
  const unlink = onAbort(signal, stop)
  if (signal?.aborted) stop()
  return { controller, unlink }
}

function toContent(output: unknown): string {
  if (output === undefined) return ''
  return typeof output === 'string' ? output : toJson('result', output)
}

/** The message with which the model is told a result. */
function toToolMessage({ toolCall: { id, name }, content }: ToolResult): ToolMessage {
  return { role: 'tool', name, content, toolCallId: id }
}

/** The usage of all steps together. */
function totalUsage(steps: readonly ChatStep[]): Usage {
  const sum = (key: keyof Usage): number =>
    steps.reduce((all, { usage }) => all + (usage[key] ?? 0), 0)
  const isGuessed = steps.some(({ usage }) => usage.draftedTokens !== undefined)
  return {
    promptTokens: sum('promptTokens'),
    cachedTokens: sum('cachedTokens'),
    completionTokens: sum('completionTokens'),
    reasoningTokens: sum('reasoningTokens'),
    ...(isGuessed && {
      draftedTokens: sum('draftedTokens'),
      acceptedTokens: sum('acceptedTokens'),
    }),
  }
}
