// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'
import { inspect } from 'node:util'
import { loadEmbedder, type Embedder, type EmbedOptions } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apart, EMBEDDERS, embedded, embedderFolder, LIMIT, reranker } from './helpers/embedders'
import { expectBusy, expectIdle } from './helpers/engine'
import { llama, makeModel, type Changes } from './helpers/models'

const LAST = embedderFolder('last')
/** Two passes on a CPU. */
const LONG = embedded('last').texts.at(-1) ?? ''
const MODULES = 'modules.json'
const POOLING = join('1_Pooling', 'config.json')

let embedder: Embedder

beforeAll(async () => {
  embedder = await loadEmbedder(LAST)
})

afterAll(async () => {
  await embedder.dispose()
})

describe.each(EMBEDDERS)('embeddings pooled by: %s', (name) => {
  const { texts, runs } = embedded(name)

  test.each(runs)('with the prompt $prompt, of $dimensions dimensions', async (run) => {
    await using model = await loadEmbedder(embedderFolder(name), { device: 'cpu' })
    const options = { prompt: run.prompt ?? undefined, dimensions: run.dimensions ?? undefined }
    const embeddings = await model.embed(texts, options)
    expect(embeddings).toHaveLength(texts.length)
    for (const [index, embedding] of embeddings.entries()) {
      expect(embedding).toBeInstanceOf(Float32Array)
      expect(apart(embedding, run.embeddings[index] ?? [])).toBeLessThan(LIMIT)
    }
  })
})

test('an embedder says what it is', () => {
  expect(embedder).toMatchObject({
    id: LAST,
    modelType: 'qwen3',
    dimensions: 32,
    contextLength: 2048,
    prompts: { document: '', query: expect.stringMatching(/^Instruct: /u) as string },
  })
  expect(inspect(embedder)).toMatch(/^Embedder '.*last' \(qwen3, .* parameters, \w+\)$/u)
})

test('calls of one embedder take turns, and no texts are no work', async () => {
  const { texts } = embedded('last')
  const alone = await embedder.embed(texts)
  const all = await Promise.all([embedder.embed(texts), embedder.embed(texts.toReversed())])
  expect(all).toEqual([alone, alone.toReversed()])
  expect(await embedder.embed([])).toEqual([])
})

describe('bad arguments are refused by name', () => {
  const bad: [string, unknown, unknown, string, string][] = [
    ['no array', 'x', {}, 'ERR_INVALID_ARG_VALUE', 'texts'],
    ['no string', ['x', 5], {}, 'ERR_INVALID_ARG_VALUE', 'texts[1]'],
    ['an empty text', ['x', ''], {}, 'ERR_INVALID_ARG_VALUE', 'texts[1]'],
    ['a NUL', ['x\0'], {}, 'ERR_INVALID_ARG_VALUE', 'texts[0]'],
    ['too many dimensions', ['x'], { dimensions: 33 }, 'ERR_OUT_OF_RANGE', 'dimensions'],
    ['no dimensions', ['x'], { dimensions: 0 }, 'ERR_OUT_OF_RANGE', 'dimensions'],
    ['half a dimension', ['x'], { dimensions: 1.5 }, 'ERR_OUT_OF_RANGE', 'dimensions'],
    ['an unknown prompt', ['x'], { prompt: 'qery' }, 'ERR_INVALID_ARG_VALUE', 'prompt'],
    ['an unknown option', ['x'], { dimension: 8 }, 'ERR_INVALID_ARG_VALUE', 'dimension'],
    ['no signal', ['x'], { signal: 5 }, 'ERR_INVALID_ARG_VALUE', 'signal'],
  ]
  test.each(bad)('%s', async (_, texts, options, code, name) => {
    const embedding = embedder.embed(texts as string[], options as EmbedOptions)
    await expect(embedding).rejects.toMatchObject({ code, details: { name } })
  })

  test('a text that is too long, before any text is read', async () => {
    const long = embedder.embed(['x', 'word '.repeat(1500)])
    const details = {
      name: 'texts[1]',
      index: 1,
      limit: 2048,
      promptTokens: expect.any(Number) as number,
    }
    await expect(long).rejects.toMatchObject({ code: 'ERR_CONTEXT_OVERFLOW', details })
    const characters = embedder.embed(['x'.repeat(2 ** 21)])
    await expect(characters).rejects.toMatchObject({
      code: 'ERR_CONTEXT_OVERFLOW',
      details: { name: 'texts[0]', index: 0 },
    })
  })
})

describe('a model whose files say that it works otherwise is refused', () => {
  const modules = (...names: string[]) =>
    JSON.stringify(
      names.map((name, index) => ({
        idx: index,
        path: index === 0 ? '' : `${index}_${name}`,
        type: `sentence_transformers.models.${name}`,
      })),
    )
  const pooling = (config: object) => JSON.stringify({ word_embedding_dimension: 32, ...config })
  const bad: [string, Changes, string, RegExp][] = [
    [
      'another module',
      { files: { [MODULES]: modules('Transformer', 'Pooling', 'Dense') } },
      'ERR_MODEL_UNSUPPORTED',
      /Dense/u,
    ],
    [
      'no pooling',
      { files: { [MODULES]: modules('Transformer', 'LogitScore') } },
      'ERR_MODEL_UNSUPPORTED',
      /LogitScore/u,
    ],
    [
      'another pooling',
      { files: { [POOLING]: pooling({ pooling_mode_cls_token: true }) } },
      'ERR_MODEL_UNSUPPORTED',
      /cls/u,
    ],
    [
      'two at once',
      { files: { [POOLING]: pooling({ pooling_mode: ['mean', 'max'] }) } },
      'ERR_MODEL_UNSUPPORTED',
      /mean and max/u,
    ],
    [
      'no such file',
      { files: { [MODULES]: modules('Transformer', 'Pooling').replace('1_', '2_') } },
      'ERR_CONFIG_INVALID',
      /2_Pooling/u,
    ],
    [
      'a path outside',
      { files: { [MODULES]: modules('Transformer', 'Pooling').replace('1_', '../') } },
      'ERR_CONFIG_INVALID',
      /path/u,
    ],
    ['no JSON', { files: { [MODULES]: '{' } }, 'ERR_CONFIG_INVALID', /modules\.json/u],
    ['no array', { files: { [MODULES]: '{}' } }, 'ERR_CONFIG_INVALID', /modules\.json/u],
    [
      'no modules.json',
      { files: { [MODULES]: null } },
      'ERR_MODEL_FILE_MISSING',
      /pooling: 'last'/u,
    ],
    [
      'attention to both sides',
      { config: { is_causal: false } },
      'ERR_CONFIG_INVALID',
      /is_causal/u,
    ],
    [
      'lower case',
      { files: { 'sentence_bert_config.json': '{"do_lower_case": true}' } },
      'ERR_CONFIG_INVALID',
      /do_lower_case/u,
    ],
    [
      'prompts',
      { files: { 'config_sentence_transformers.json': '{"prompts": {"query": 5}}' } },
      'ERR_CONFIG_INVALID',
      /prompts/u,
    ],
    [
      'a default',
      { files: { 'config_sentence_transformers.json': '{"default_prompt_name": "x"}' } },
      'ERR_CONFIG_INVALID',
      /default_prompt_name/u,
    ],
  ]
  test.each(bad)('%s', async (_, changes, code, message) => {
    const loading = loadEmbedder(makeModel({ from: LAST, ...changes }))
    await expect(loading).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })

  test('a language model, and a reranker', async () => {
    for (const folder of [llama, reranker])
      await expect(loadEmbedder(folder)).rejects.toMatchObject({ code: 'ERR_MODEL_FILE_MISSING' })
  })
})

test('a language model makes embeddings, too, if it is told how', async () => {
  await using model = await loadEmbedder(llama, { pooling: 'mean' })
  const [embedding] = await model.embed(['x'])
  expect(Math.hypot(...(embedding ?? []))).toBeCloseTo(1, 5)
  await expect(loadEmbedder(llama, { pooling: 'max' as 'mean' })).rejects.toMatchObject({
    code: 'ERR_INVALID_ARG_VALUE',
    details: { name: 'pooling' },
  })
})

test('the files say how long a text may be, unless an option does', async () => {
  const files = { 'sentence_bert_config.json': '{"max_seq_length": 10}' }
  const folder = makeModel({ from: LAST, files })
  await using short = await loadEmbedder(folder)
  await using long = await loadEmbedder(folder, { contextLength: 20 })
  expect([short.contextLength, long.contextLength]).toEqual([10, 20])
})

test('an abort stops before the next pass', async () => {
  const controller = new AbortController()
  const texts = Array.from({ length: 100 }, () => LONG)
  const ended = embedder.embed(texts, { signal: controller.signal }).catch(String)
  await expectBusy()
  controller.abort()
  expect(await ended).toMatch(/^AbortError \[ABORT_ERR\]/u)
  await expect(embedder.embed(['x'], { signal: controller.signal })).rejects.toMatchObject({
    code: 'ABORT_ERR',
  })
  await expectIdle()
})

test('a disposed embedder ends its calls', async () => {
  const model = await loadEmbedder(LAST)
  const texts = Array.from({ length: 100 }, () => LONG)
  const ended = model.embed(texts).catch(String)
  await expectBusy()
  await model.dispose()
  expect(await ended).toMatch(/ERR_MODEL_DISPOSED/u)
  await expect(model.embed(['x'])).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' })
  expect(model.memoryUsage).toBe(0)
})
