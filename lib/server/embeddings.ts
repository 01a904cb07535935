// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// POST /v1/embeddings

import { invalidArgument } from '../errors'
import { show } from '../options'
import type { EmbedOptions } from '../types'
import type { Fields } from './fields'
import type { FieldNames } from './options'

/** What a request asks of an embedder. */
export interface EmbedTask {
  /** The embedder's name. */
  model: string
  texts: readonly string[]
  options: EmbedOptions
  /** The fields of the request that these come from. */
  fields: FieldNames
}

export type Embed = (task: EmbedTask) => Promise<{ embeddings: Float32Array[]; tokens: number }>

export async function embeddings(body: Fields, _: unknown, embed: Embed): Promise<Response> {
  const model = body.required('model', body.text('model'))
  const input = body.required('input', body.any('input'))
  const format = body.oneOf('encoding_format', ['float', 'base64']) ?? 'float'
  const dimensions = body.any('dimensions') as EmbedOptions['dimensions']
  body.ignore('user')
  body.end()
  const texts = typeof input === 'string' ? [input] : input
  if (!Array.isArray(texts))
    throw invalidArgument('input', `expected a string or an array of strings, got ${show(input)}`)
  const task = { model, texts, options: { dimensions }, fields: { texts: 'input' } }
  const made = await embed(task)
  const data = made.embeddings.map((embedding, index) => ({
    object: 'embedding',
    index,
    embedding: format === 'base64' ? toBase64(embedding) : Array.from(embedding),
  }))
  const usage = { prompt_tokens: made.tokens, total_tokens: made.tokens }
  return Response.json({ object: 'list', data, model, usage })
}

/** The bytes of the numbers; all machines that this runs on are little-endian, as clients expect. */
function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}
