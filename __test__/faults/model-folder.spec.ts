// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, inChild, loadInChild } from '../helpers/child'
import { fixture, llama, makeModel, scratch } from '../helpers/models'

test('row 1: a folder that is missing is not found', async () => {
  const outcomes = await loadInChild({
    absolute: join(scratch(), 'nowhere'),
    file: join(llama, 'config.json'),
  })
  expectCodes(outcomes, 'ERR_MODEL_NOT_FOUND')
  expect(outcomes.absolute.message).toContain('nowhere')
})

test('row 2: a file that is missing is named', async () => {
  const outcomes = await loadInChild({
    'config.json': makeModel({ files: { 'config.json': null } }),
    'tokenizer.json': makeModel({ files: { 'tokenizer.json': null } }),
    safetensors: makeModel({ files: { 'model.safetensors': null } }),
  })
  expectCodes(outcomes, 'ERR_MODEL_FILE_MISSING')
  for (const [name, { message }] of Object.entries(outcomes)) expect(message).toContain(name)
})

test('row 3: a config.json that is not a JSON object is invalid, but a byte order mark is allowed', async () => {
  const config = readFileSync(join(llama, 'config.json'), 'utf8')
  const withConfig = (text: string | Uint8Array) => makeModel({ files: { 'config.json': text } })
  const { bom, ...outcomes } = await loadInChild({
    empty: withConfig(''),
    truncated: withConfig(config.slice(0, config.length / 2)),
    list: withConfig('[]'),
    binary: withConfig(Uint8Array.of(0xff, 0xfe, 0x00)),
    'nested lists': withConfig(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
    'nested objects': withConfig('{"a":'.repeat(100_000)),
    bom: withConfig(`\uFEFF${config}`),
  })
  expectCodes(outcomes, 'ERR_CONFIG_INVALID')
  expect(bom).toEqual({ value: 'a model' })
})

test('row 4: an unknown model_type is unsupported, and the message lists the supported ones', async () => {
  const outcomes = await loadInChild({
    unknown: makeModel({ config: { model_type: 'nonsense' } }),
    path: makeModel({ config: { model_type: '../x' } }),
  })
  expectCodes(outcomes, 'ERR_MODEL_UNSUPPORTED')
  expect(outcomes.unknown.message).toMatch(/nonsense.*llama/u)
  expect(outcomes.unknown.details).toMatchObject({ modelType: 'nonsense' })
})

const DIMENSIONS = [
  'hidden_size',
  'intermediate_size',
  'num_attention_heads',
  'num_hidden_layers',
  'num_key_value_heads',
  'vocab_size',
  'max_position_embeddings',
]

test.each(DIMENSIONS)('row 5: an impossible %s is invalid, and named', async (field) => {
  const values = [-1, 0, 1.5, 2 ** 31, 2 ** 63]
  const outcomes = await loadInChild(
    Object.fromEntries(
      values.map((value) => [String(value), makeModel({ config: { [field]: value } })]),
    ),
  )
  expectCodes(outcomes, 'ERR_CONFIG_INVALID')
  for (const { message } of Object.values(outcomes)) expect(message).toContain(field)
})

test('row 6: inconsistent dimensions are rejected before anything is allocated', async () => {
  const outcomes = await loadInChild({
    'heads and kv heads': makeModel({ config: { num_key_value_heads: 3 } }),
    layers: makeModel({ config: { num_hidden_layers: 1_000_000_000 } }),
  })
  expectCodes(outcomes, 'ERR_CONFIG_INVALID')
})

test('row 7: a quantization that does not exist is invalid', async () => {
  const withQuantization = (quantization: object) =>
    makeModel({
      from: fixture('llama-4bit'),
      config: { quantization, quantization_config: undefined },
    })
  const outcomes = await loadInChild({
    bits: withQuantization({ bits: 7, group_size: 32 }),
    'group size': withQuantization({ bits: 4, group_size: 0 }),
    mode: withQuantization({ bits: 4, group_size: 32, mode: 'nonsense' }),
  })
  expectCodes(outcomes, 'ERR_CONFIG_INVALID')
})

test("row 8: a model's own code is never executed", async () => {
  const marker = join(scratch(), 'executed')
  const text = JSON.stringify(marker)
  const [python, script] = [`open(${text}, 'w')\n`, `require('fs').writeFileSync(${text}, '')\n`]
  const auto_map = {
    AutoConfig: 'own.Config',
    AutoModelForCausalLM: 'modeling_own.Model',
    AutoTokenizer: ['own.Tokenizer', null],
  }
  const withCode = (config: object) =>
    makeModel({
      config: { ...config },
      tokenizerConfig: { auto_map, tokenizer_class: 'OwnTokenizer' },
      files: {
        'own.py': python,
        'modeling_own.py': python,
        'llama.py': python,
        '__init__.py': python,
        'own.js': script,
        'index.js': script,
      },
    })
  const folders = {
    model_file: withCode({ model_file: 'own.py' }),
    script: withCode({ model_file: 'own.js' }),
    auto_map: withCode({ auto_map }),
  }
  const outcomes = await inChild(async ({ load, outcome }, paths) => {
    const tokens = async (path: string) =>
      outcome(async () => {
        const model = await load(path)
        return (await model.generate('hello', { maxTokens: 2, ignoreEos: true })).tokens.length
      })
    return {
      model_file: await tokens(paths.model_file),
      script: await tokens(paths.script),
      auto_map: await tokens(paths.auto_map),
    }
  }, folders)
  for (const outcome of Object.values(outcomes)) expect(outcome).toEqual({ value: 2 })
  expect(existsSync(marker)).toBe(false)
})
