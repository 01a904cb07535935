// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// POST /v1/embeddings, as OpenAI's own client uses it.

import { loadEmbedder, type Embedder } from 'node-mlx'
import { serve, type Server } from 'node-mlx/server'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apart, embedded, embedderFolder, LIMIT } from '../helpers/embedders'
import { llama } from '../helpers/models'

const LAST = embedderFolder('last')
const { texts, runs } = embedded('last')
const [whole, short] = runs

let embedder: Embedder
let server: Server
let client: OpenAI

beforeAll(async () => {
  embedder = await loadEmbedder(embedderFolder('mean'))
  server = await serve({
    port: 0,
    models: { last: LAST, mean: embedder, llama },
    load: { device: 'cpu' },
  })
  client = new OpenAI({ baseURL: server.url, apiKey: 'none', maxRetries: 0 })
})

afterAll(async () => {
  await server.close()
  await embedder.dispose()
})

test.each([undefined, 'float', 'base64'] as const)('embeddings as %s', async (format) => {
  const made = await client.embeddings.create({
    model: 'last',
    input: texts,
    ...(format !== undefined && { encoding_format: format }),
  })
  const tokens = whole?.tokens
  expect(made).toMatchObject({
    object: 'list',
    model: 'last',
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  })
  expect(made.data).toHaveLength(texts.length)
  for (const [index, { embedding, ...rest }] of made.data.entries()) {
    expect(rest).toEqual({ object: 'embedding', index })
    // The client decodes base64 only where it has asked for it by itself.
    const numbers =
      format === 'base64'
        ? new Float32Array(Uint8Array.from(Buffer.from(String(embedding), 'base64')).buffer)
        : embedding
    expect(apart(numbers, whole?.embeddings[index] ?? [])).toBeLessThan(LIMIT)
  }
})

test('one text, of fewer dimensions', async () => {
  const [input = ''] = texts
  const { data } = await client.embeddings.create({ model: 'last', input, dimensions: 8 })
  expect(data).toHaveLength(1)
  expect(apart(data[0]?.embedding ?? [], short?.embeddings[0] ?? [])).toBeLessThan(LIMIT)
})

test('an embedder that is loaded already', async () => {
  const { data } = await client.embeddings.create({ model: 'mean', input: 'x', user: 'me' })
  const [expected = []] = await embedder.embed(['x'])
  expect(apart(data[0]?.embedding ?? [], [...expected])).toBeLessThan(LIMIT)
})

test.each<[string, object, number, string]>([
  ['no input', { model: 'last' }, 400, 'input'],
  ['an object', { model: 'last', input: {} }, 400, 'input'],
  ['an empty text', { model: 'last', input: ['x', ''] }, 400, 'input[1]'],
  ['tokens', { model: 'last', input: [1, 2] }, 400, 'input[0]'],
  [
    'a text that is too long',
    { model: 'last', input: ['x', 'word '.repeat(1500)] },
    400,
    'input[1]',
  ],
  ['too many dimensions', { model: 'last', input: 'x', dimensions: 33 }, 400, 'dimensions'],
  ['a number in a string', { model: 'last', input: 'x', dimensions: '8' }, 400, 'dimensions'],
  [
    'another format',
    { model: 'last', input: 'x', encoding_format: 'int8' },
    400,
    'encoding_format',
  ],
  ['an unknown field', { model: 'last', input: 'x', dimension: 8 }, 400, 'dimension'],
  ['an unknown model', { model: 'lost', input: 'x' }, 404, 'model'],
  ['a language model', { model: 'llama', input: 'x' }, 400, 'model'],
])('%s is refused', async (_, body, status, param) => {
  const making = client.embeddings.create(body as OpenAI.EmbeddingCreateParams)
  await expect(making).rejects.toMatchObject({ status, param })
})

test('an embedder does not chat', async () => {
  const chatting = client.chat.completions.create({
    model: 'mean',
    messages: [{ role: 'user', content: 'Hello' }],
  })
  await expect(chatting).rejects.toMatchObject({ status: 400, param: 'model' })
})
