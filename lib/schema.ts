// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, NodeMlxError, type ErrorCode } from './errors'
import { isRecord, isSchema, readable } from './options'

/** A JSON schema. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A schema of a library that implements Standard Schema and Standard JSON Schema: zod from 4.2 on, ArkType and others. */
export interface StandardSchema<T = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<T> | Promise<StandardResult<T>>
    readonly jsonSchema: {
      readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
    }
  }
}

/** What a {@link StandardSchema} makes of a value. */
export type StandardResult<T> =
  { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] }

/** Why a {@link StandardSchema} rejects a value. */
export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Returns the JSON schema of what a schema accepts. `code`: that of the error if a library's schema has none. */
export function toJsonSchema(
  name: string,
  schema: JsonSchema | StandardSchema,
  code: ErrorCode = 'ERR_GRAMMAR_UNSUPPORTED',
): JsonSchema {
  return readable(name, () => ofStandard(name, schema, code))
}

function ofStandard(
  name: string,
  schema: JsonSchema | StandardSchema,
  code: ErrorCode,
): JsonSchema {
  if (!isStandard(schema)) return schema
  // Older versions of a library lack it.
  const { vendor, jsonSchema } = schema['~standard']
  if (typeof jsonSchema?.input !== 'function') {
    throw invalidArgument(
      name,
      `this schema of ${vendor} does not say what it is as a JSON schema: pass one, or use a newer ${vendor}`,
    )
  }
  try {
    return jsonSchema.input({ target: 'draft-2020-12' })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new NodeMlxError(code, `${name}: ${reason}`, { details: { name }, cause })
  }
}

/** Returns the value of an answer that follows a schema, as the schema's library validates and converts it. */
export async function toObject(
  schema: JsonSchema | StandardSchema,
  text: string,
): Promise<unknown> {
  return validated(schema, JSON.parse(text), 'answer', text)
}

/** Returns a value as the schema's library validates and converts it; `what` and `text` are for the error. */
export async function validated(
  schema: unknown,
  value: unknown,
  what: string,
  text: string,
): Promise<unknown> {
  if (!isStandard(schema)) return value
  const result = await schema['~standard'].validate(value)
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(({ message, path = [] }) => ({
    message,
    path: path.map((step) => (typeof step === 'object' ? step.key : step)).map(String),
  }))
  const [first] = issues
  const place = first?.path.length ? `${first.path.join('.')}: ` : ''
  throw new NodeMlxError(
    'ERR_SCHEMA_MISMATCH',
    `the schema rejects the ${what}: ${place}${first?.message ?? 'no reason is given'}`,
    { details: { text, issues } },
  )
}

/** Whether this is a schema of a library. */
export function isStandard(schema: unknown): schema is StandardSchema {
  if (!isSchema(schema)) return false
  return isRecord((schema as Partial<StandardSchema>)['~standard'])
}
