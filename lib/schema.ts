// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, NodeMlxError } from './errors'
import { isSchema } from './options'

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

/** Returns the JSON schema of what a schema accepts. */
export function toJsonSchema(schema: JsonSchema | StandardSchema): JsonSchema {
  if (!isStandard(schema)) return schema
  const { vendor, jsonSchema } = schema['~standard']
  if (typeof jsonSchema?.input !== 'function') {
    throw invalidArgument(
      'schema',
      `this schema of ${vendor} does not say what it is as a JSON schema: pass a JSON schema`,
    )
  }
  try {
    return jsonSchema.input({ target: 'draft-2020-12' })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const details = { name: 'schema' }
    throw new NodeMlxError('ERR_GRAMMAR_UNSUPPORTED', `schema: ${reason}`, { details, cause })
  }
}

/** Returns the value of an answer that follows a schema, as the schema's library validates and converts it. */
export async function toObject(
  schema: JsonSchema | StandardSchema,
  text: string,
): Promise<unknown> {
  const parsed: unknown = JSON.parse(text)
  if (!isStandard(schema)) return parsed
  const result = await schema['~standard'].validate(parsed)
  if (result.issues === undefined) return result.value
  const issues = result.issues.map(({ message, path = [] }) => ({
    message,
    path: path.map((step) => (typeof step === 'object' ? step.key : step)).map(String),
  }))
  const [first] = issues
  const place = first?.path.length ? `${first.path.join('.')}: ` : ''
  throw new NodeMlxError(
    'ERR_SCHEMA_MISMATCH',
    `the schema rejects the answer: ${place}${first?.message ?? 'no reason is given'}`,
    { details: { text, issues } },
  )
}

function isStandard(schema: JsonSchema | StandardSchema): schema is StandardSchema {
  return isSchema(schema) && '~standard' in schema
}
