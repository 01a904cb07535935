// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The functions that a model may call, as callers and as chat templates write them.

import { invalidArgument } from './errors'
import { isRecord, isSchema, readable, show, toItems, toOwn } from './options'
import { isStandard, toJsonSchema, type JsonSchema, type StandardSchema } from './schema'
import { didYouMean } from './suggest'

/** A function that the model may call. */
export type Tool = FunctionTool | FlatTool

/** A tool in the format of chat templates and of OpenAI's Chat Completions. */
export interface FunctionTool {
  type: 'function'
  function: {
    name: string
    description?: string | undefined
    /** As those of a {@link FlatTool}. */
    parameters?: object | undefined
    /** Has no effect, except in a chat template that prints it. */
    strict?: boolean | undefined
  }
  /** As that of a {@link FlatTool}. */
  execute?: ToolFunction | undefined
}

/** The same in one object, as tools of MCP and of OpenAI's Responses are. Other fields of an MCP tool are ignored. */
export interface FlatTool {
  type?: 'function' | undefined
  name: string
  description?: string | undefined
  /**
   * A JSON schema of an object, or a schema of a library that implements Standard JSON Schema, such as zod from 4.2 on.
   * Default: no arguments.
   */
  parameters?: object | undefined
  /** MCP's name for `parameters`. */
  inputSchema?: object | undefined
  /** Has no effect, except in a chat template that prints it. */
  strict?: boolean | undefined
  /** What `chat.run` calls, with the name that it has in the AI SDK. It has no effect elsewhere. */
  execute?: ToolFunction | undefined
}

/**
 * A function that a model calls. It returns, also as a promise, what the model is told: a string, or anything that can be
 * written as JSON.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- what the arguments are, only the schema says
export type ToolFunction<A = any> = (args: A, context: ToolContext) => unknown

/** What a {@link ToolFunction} gets besides its arguments; the names are the AI SDK's. */
export interface ToolContext {
  /** The `id` of the call. */
  toolCallId: string
  /** Aborted when the run is stopped, and when the call has taken longer than `toolTimeout`. */
  abortSignal: AbortSignal
}

/** A tool whose function gets the arguments as its schema types them. */
export interface TypedTool<T> extends Omit<FlatTool, 'parameters' | 'inputSchema' | 'execute'> {
  inputSchema: StandardSchema<T>
  execute: ToolFunction<T>
}

/** Returns a tool as it is: its only use is that TypeScript infers the types of the function's arguments. */
export function defineTool<T>(definition: TypedTool<T>): TypedTool<T> {
  return definition
}

const KEYS = ['name', 'description', 'parameters', 'strict']
const FLAT_KEYS = ['type', ...KEYS, 'inputSchema', 'execute']
const IGNORED = /^(?:title|annotations|outputSchema|icons|execution|_meta)$/u
/** A schema with one of these describes an object, although it has no `type`. */
const KEYWORDS = /^(?:properties|additionalProperties|\$ref|allOf|anyOf|oneOf)$/u

/** Checks tools and converts them to the format that chat templates expect. */
export function toTemplateTools(tools: unknown): FunctionTool[] {
  if (Array.isArray(tools))
    return readable('tools', () =>
      toItems('tools', tools).map((tool, index) => toTemplateTool(`tools[${index}]`, tool)),
    )
  const advice = isRecord(tools)
    ? 'make one of the object: Object.entries(tools).map(([name, { description, inputSchema, execute }]) => ' +
      '({ name, description, inputSchema, execute }))'
    : `got ${show(tools)}`
  throw invalidArgument('tools', `expected an array; ${advice}`)
}

function toTemplateTool(where: string, given: unknown): FunctionTool {
  const tool: unknown = isRecord(given) ? toOwn(where, given) : given
  if (!isRecord(tool) || (tool['name'] === undefined && tool['function'] === undefined)) {
    throw invalidArgument(
      where,
      "expected { type: 'function', function: { name, … } } or { name, description, parameters }" +
        (isRecord(tool) ? '' : `, got ${show(tool)}`),
    )
  }
  const { type, function: described } = tool
  const nested = isRecord(described) ? toOwn(`${where}.function`, described) : described
  if (type !== 'function' && (type !== undefined || nested !== undefined))
    throw invalidArgument(`${where}.type`, `expected 'function', got ${show(type)}`)
  if (nested === undefined) {
    const fields = Object.entries(tool).filter(([key]) => !IGNORED.test(key))
    checkFields(where, Object.fromEntries(fields), FLAT_KEYS)
    const { name, description, parameters, inputSchema, strict } = tool
    if (parameters !== undefined && inputSchema !== undefined)
      throw invalidArgument(`${where}.inputSchema`, 'is another name for parameters: leave one out')
    const key = inputSchema === undefined ? 'parameters' : 'inputSchema'
    const schema = toSchema(`${where}.${key}`, parameters ?? inputSchema)
    return toFunction({ name, description, parameters: schema, strict })
  }
  checkFields(where, tool, ['type', 'function', 'execute'])
  if (!isRecord(nested))
    throw invalidArgument(`${where}.function`, `expected an object, got ${show(nested)}`)
  checkFields(`${where}.function`, nested, KEYS)
  const schema = toSchema(`${where}.function.parameters`, nested['parameters'])
  return toFunction({ ...nested, ...(schema !== undefined && { parameters: schema }) })
}

function toFunction(checked: Record<string, unknown>): FunctionTool {
  return { type: 'function', function: checked as unknown as FunctionTool['function'] }
}

function checkFields(where: string, tool: Record<string, unknown>, allowed: string[]): void {
  const unknown = Object.keys(tool).find((key) => !allowed.includes(key))
  if (unknown !== undefined) {
    throw invalidArgument(
      `${where}.${unknown}`,
      `unknown property; those of a tool are ${allowed.join(', ')}${didYouMean(unknown, allowed)}`,
    )
  }
  const { execute } = tool
  if (execute !== undefined && typeof execute !== 'function')
    throw invalidArgument(`${where}.execute`, `expected a function, got ${show(execute)}`)
  if (!allowed.includes('name')) return
  const { name, description, strict } = tool
  if (typeof name !== 'string' || name === '')
    throw invalidArgument(`${where}.name`, `expected a non-empty string, got ${show(name)}`)
  if (description !== undefined && typeof description !== 'string')
    throw invalidArgument(`${where}.description`, `expected a string, got ${show(description)}`)
  if (strict !== undefined && strict !== null && typeof strict !== 'boolean')
    throw invalidArgument(`${where}.strict`, `expected true or false, got ${show(strict)}`)
}

/** Checks parameters, and converts those of another library. */
function toSchema(where: string, parameters: unknown): object | undefined {
  if (parameters === undefined) return undefined
  if (!isSchema(parameters))
    throw invalidArgument(where, `expected a JSON schema, got ${show(parameters)}`)
  const schema = fromLibrary(where, parameters as JsonSchema)
  const keys = Object.keys(schema)
  const isObject = keys.length === 0 || keys.some((key) => KEYWORDS.test(key))
  if (schema['type'] === 'object' || (schema['type'] === undefined && isObject)) return schema
  throw invalidArgument(
    where,
    "expected the JSON schema of an object, as in { type: 'object', properties: { city: { type: 'string' } } }",
  )
}

function fromLibrary(where: string, parameters: JsonSchema | StandardSchema): JsonSchema {
  if (!isStandard(parameters)) return parameters
  // The name of the dialect would only cost the model tokens.
  const { $schema: _, ...schema } = toJsonSchema(where, parameters, 'ERR_INVALID_ARG_VALUE')
  return schema
}
