// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The provider's embeddings and rankings, as the AI SDK itself uses them.

import { cosineSimilarity, createProviderRegistry, embed, embedMany, rerank } from 'ai'
import { loadEmbedder, loadReranker } from 'node-mlx'
import { createMlx } from 'node-mlx/ai-sdk'
import { afterAll, expect, test } from 'vitest'
import { apart, embedded, embedderFolder, LIMIT, ranked, reranker } from './helpers/embedders'

const LAST = embedderFolder('last')
const { texts, runs } = embedded('last')
const [whole, short, query] = runs
const mlx = createMlx({ load: { device: 'cpu' } })

afterAll(() => mlx.dispose())

test('embeds one value, and many', async () => {
  const model = mlx.embeddingModel(LAST)
  const many = await embedMany({ model, values: texts })
  expect(many.usage.tokens).toBe(whole?.tokens)
  for (const [index, embedding] of many.embeddings.entries())
    expect(apart(embedding, whole?.embeddings[index] ?? [])).toBeLessThan(LIMIT)
  const one = await embed({ model, value: texts[0] ?? '' })
  expect(one.embedding).toEqual(many.embeddings[0])
  expect(cosineSimilarity(one.embedding, many.embeddings[0] ?? [])).toBeCloseTo(1, 5)
})

test('takes the options of the AI SDK, and its own', async () => {
  await using embedder = await loadEmbedder(LAST, { device: 'cpu' })
  const model = mlx.embeddingModel(embedder, { prompt: 'query' })
  const value = texts[0] ?? ''
  const prompted = await embed({ model, value })
  expect(apart(prompted.embedding, query?.embeddings[0] ?? [])).toBeLessThan(LIMIT)
  const providerOptions = { mlx: { prompt: 'document' } }
  const plain = await embed({ model, value, providerOptions })
  expect(apart(plain.embedding, whole?.embeddings[0] ?? [])).toBeLessThan(LIMIT)
  const vector = await model.doEmbed({ values: [value], dimensions: 8, providerOptions })
  expect(apart(vector.embeddings[0] ?? [], short?.embeddings[0] ?? [])).toBeLessThan(LIMIT)
  const abortSignal = AbortSignal.abort()
  await expect(embed({ model, value, abortSignal })).rejects.toMatchObject({ name: 'AbortError' })
})

test('ranks texts and objects', async () => {
  const { query: asked, documents, scores } = ranked()
  const [instruction = ''] = Object.keys(scores)
  const { ranking, rerankedDocuments } = await rerank({
    model: mlx.rerankingModel(reranker),
    query: asked,
    documents,
    topN: 2,
  })
  const expected = (scores[instruction] ?? [])
    .map((score, index) => ({ originalIndex: index, score }))
    .toSorted((a, b) => b.score - a.score)
    .slice(0, 2)
  expect(ranking.map(({ originalIndex }) => originalIndex)).toEqual(
    expected.map(({ originalIndex }) => originalIndex),
  )
  expect(rerankedDocuments[0]).toBe(documents[expected[0]?.originalIndex ?? NaN])
  const theirs = expected.map(({ score }) => score)
  expect(
    apart(
      ranking.map(({ score }) => score),
      theirs,
    ),
  ).toBeLessThan(LIMIT)

  await using loaded = await loadReranker(reranker)
  const model = mlx.rerankingModel(loaded, { instruction: 'Find passages about bread' })
  const objects = documents.map((text) => ({ text }))
  const found = await rerank({ model, query: asked, documents: objects })
  expect(found.ranking).toHaveLength(objects.length)
  const wanted = await loaded.rank(
    asked,
    objects.map((document) => JSON.stringify(document)),
    { instruction: 'Find passages about bread' },
  )
  expect(found.ranking.map(({ originalIndex }) => originalIndex)).toEqual(
    wanted.map(({ index }) => index),
  )
})

test('is found in a registry', async () => {
  const registry = createProviderRegistry({ mlx })
  const { embedding } = await embed({ model: registry.embeddingModel(`mlx:${LAST}`), value: 'x' })
  expect(embedding).toHaveLength(32)
  expect(registry.rerankingModel(`mlx:${reranker}`).modelId).toBe(reranker)
})
