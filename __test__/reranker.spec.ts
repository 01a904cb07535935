// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { inspect } from 'node:util'
import { loadReranker, type RankOptions, type Reranker } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apart, embedderFolder, LIMIT, ranked, reranker as folder } from './helpers/embedders'
import { expectBusy, expectIdle } from './helpers/engine'
import { llama, makeModel } from './helpers/models'

const { query, documents, scores } = ranked()
const [instruction = ''] = Object.keys(scores)

let reranker: Reranker

beforeAll(async () => {
  reranker = await loadReranker(folder, { device: 'cpu' })
})

afterAll(async () => {
  await reranker.dispose()
})

test.each(Object.entries(scores))('scores by the instruction: %s', async (given, expected) => {
  const found = await reranker.rank(query, documents, { instruction: given })
  const sorted = expected
    .map((score, index) => ({ index, score }))
    .toSorted((a, b) => b.score - a.score)
  expect(found.map(({ index }) => index)).toEqual(sorted.map(({ index }) => index))
  const ours = found.map(({ score }) => score)
  const theirs = sorted.map(({ score }) => score)
  expect(apart(ours, theirs)).toBeLessThan(LIMIT)
})

test('the default instruction is that of web searches', async () => {
  const expected = await reranker.rank(query, documents, { instruction })
  expect(await reranker.rank(query, documents)).toEqual(expected)
  expect(await reranker.rank(query, [])).toEqual([])
})

test('a reranker says what it is', () => {
  expect(inspect(reranker)).toMatch(/^Reranker '.*reranker' \(qwen3, .* parameters, cpu\)$/u)
})

describe('bad arguments are refused by name', () => {
  const bad: [string, unknown, unknown, unknown, string][] = [
    ['no query', undefined, ['x'], {}, 'query'],
    ['an empty query', '', ['x'], {}, 'query'],
    ['a NUL in the query', 'x\0', ['x'], {}, 'query'],
    ['no array', 'x', 'x', {}, 'documents'],
    ['an empty document', 'x', ['x', ''], {}, 'documents[1]'],
    ['an object', 'x', [{ text: 'x' }], {}, 'documents[0]'],
    ['an empty instruction', 'x', ['x'], { instruction: '' }, 'instruction'],
    ['an unknown option', 'x', ['x'], { topN: 3 }, 'topN'],
  ]
  test.each(bad)('%s', async (_, given, texts, options, name) => {
    const ranking = reranker.rank(given as string, texts as string[], options as RankOptions)
    const code = 'ERR_INVALID_ARG_VALUE'
    await expect(ranking).rejects.toMatchObject({ code, details: { name } })
  })

  test('a document that is too long', async () => {
    const ranking = reranker.rank('x', ['x', 'word '.repeat(600)])
    await expect(ranking).rejects.toMatchObject({
      code: 'ERR_CONTEXT_OVERFLOW',
      details: { name: 'documents[1]', index: 1, limit: 512 },
    })
  })
})

test('a model of another kind is refused', async () => {
  const modules = { type: 'sentence_transformers.models.Dense', path: '' }
  const files = { 'modules.json': JSON.stringify([modules]) }
  for (const other of [llama, embedderFolder('last'), makeModel({ from: folder, files })])
    await expect(loadReranker(other)).rejects.toMatchObject({ code: 'ERR_MODEL_UNSUPPORTED' })
})

test('an abort stops before the next pass', async () => {
  const controller = new AbortController()
  const many = Array.from({ length: 2000 }, () => documents[0] ?? '')
  const ended = reranker.rank(query, many, { signal: controller.signal }).catch(String)
  await expectBusy()
  controller.abort()
  expect(await ended).toMatch(/^AbortError \[ABORT_ERR\]/u)
  await expectIdle()
})

test('a disposed reranker refuses calls', async () => {
  const other = await loadReranker(folder)
  await other.dispose()
  await expect(other.rank(query, documents)).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
})
