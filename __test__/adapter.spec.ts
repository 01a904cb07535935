// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Adapters through the public API: mlx-lm's tokens, and what is said of folders that are no good.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as mlx from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { fixture, letters, makeModel, type Json } from './helpers/models'
import { integers, parseSafetensors, writeSafetensors, type Tensors } from './helpers/safetensors'

const LAYER = 'model.layers.1.self_attn.q_proj'

test.each([
  'llama-4bit-lora',
  'llama-4bit-dora',
  'llama-dora',
  'llama-4bit-embedding-lora',
  'llama-embedding-dora',
  'llama-full',
  'qwen3_moe-4bit-lora',
  'qwen3_next-4bit-lora',
])('%s', async (name) => {
  const folder = model(name)
  const golden = parseSafetensors(readFileSync(join(folder, 'golden.safetensors')))
  const prompt = integers(golden, 'short.prompt')
  const greedy = integers(golden, 'short.tokens')
  const tokens = async (options: mlx.LoadOptions): Promise<number[]> => {
    await using loaded = await mlx.loadModel(folder, { device: 'cpu', ...options })
    const run = { maxTokens: greedy.length, temperature: 0, ignoreEos: true }
    return [...(await loaded.generate(prompt, run)).tokens]
  }
  expect(await tokens({ adapter: join(folder, 'adapters') })).toEqual(greedy)
  expect(await tokens({})).not.toEqual(greedy)
})

describe('an adapter that cannot be used', () => {
  test.each<[string, (adapter: string) => void, string, RegExp]>([
    ['no folder', remove('.'), 'ERR_MODEL_NOT_FOUND', /adapters'.*adapter_config\.json/u],
    ['no config', remove('adapter_config.json'), 'ERR_MODEL_FILE_MISSING', /adapter_config\.json/u],
    [
      'no tensors',
      remove('adapters.safetensors'),
      'ERR_MODEL_FILE_MISSING',
      /adapters\.safetensors/u,
    ],
    ['no JSON', write('adapter_config.json', '{'), 'ERR_CONFIG_INVALID', /adapter_config\.json/u],
    [
      'no tensor file',
      write('adapters.safetensors', '{'),
      'ERR_WEIGHTS_INVALID',
      /adapters\.safetensors/u,
    ],
    [
      'another kind',
      config({ fine_tune_type: 'ia3' }),
      'ERR_CONFIG_INVALID',
      /fine_tune_type.*ia3/u,
    ],
    [
      'no parameters',
      config({ lora_parameters: undefined }),
      'ERR_CONFIG_INVALID',
      /lora_parameters/u,
    ],
    ['alpha', parameters({ scale: undefined, alpha: 16 }), 'ERR_CONFIG_INVALID', /scale/u],
    ['rank 0', parameters({ rank: 0 }), 'ERR_CONFIG_INVALID', /lora_parameters\.rank/u],
    ['a huge scale', parameters({ scale: 1e300 }), 'ERR_CONFIG_INVALID', /lora_parameters\.scale/u],
    ["PEFT's", config({ peft_type: 'LORA' }), 'ERR_CONFIG_INVALID', /peft_type.*mlx-lm/u],
    [
      'another rank',
      parameters({ rank: 5 }),
      'ERR_WEIGHTS_MISMATCH',
      /adapters\.safetensors: .*lora_a has shape/u,
    ],
    [
      'LoRA as DoRA',
      config({ fine_tune_type: 'dora' }),
      'ERR_WEIGHTS_MISMATCH',
      /missing .*q_proj\.m/u,
    ],
    [
      'LoRA as full',
      config({ fine_tune_type: 'full' }),
      'ERR_WEIGHTS_MISMATCH',
      /no layer for .*lora_a/u,
    ],
    ['half a pair', rename(`${LAYER}.lora_b`), 'ERR_WEIGHTS_MISMATCH', /missing .*q_proj\.lora_b/u],
    [
      'a layer too many',
      rename(`${LAYER}.lora_a`, 'model.layers.7.mlp.up_proj.lora_a'),
      'ERR_WEIGHTS_MISMATCH',
      /no layer for model\.layers\.7/u,
    ],
    [
      'integers',
      retype(`${LAYER}.lora_a`, 'I32'),
      'ERR_WEIGHTS_INVALID',
      /adapters\.safetensors: .*lora_a/u,
    ],
  ])('%s', async (_, spoil, code, message) => {
    const folder = model('llama-4bit-lora')
    const adapter = join(folder, 'adapters')
    spoil(adapter)
    await expect(mlx.loadModel(folder, { adapter })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })

  test.each<[string, string, RegExp]>([
    ['llama-4bit-embedding-lora', 'ERR_CONFIG_INVALID', /embed_tokens/u],
    ['qwen3_moe-4bit-lora', 'ERR_CONFIG_INVALID', /switch_mlp/u],
  ])('DoRA for what has none: %s', async (name, code, message) => {
    const folder = model(name)
    const adapter = join(folder, 'adapters')
    config({ fine_tune_type: 'dora' })(adapter)
    await expect(mlx.loadModel(folder, { adapter })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    })
  })

  test.each([7, '', 'a\0b', null])('%j is not a path', async (adapter) => {
    const options = { adapter } as unknown as mlx.LoadOptions
    await expect(mlx.loadModel(fixture('llama'), options)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('adapter') as string,
    })
  })
})

function model(name: string): string {
  return makeModel({ from: fixture(name), files: { 'tokenizer.json': letters() } })
}

function remove(file: string) {
  return (adapter: string) => rmSync(join(adapter, file), { recursive: true })
}

function write(file: string, text: string) {
  return (adapter: string) => writeFileSync(join(adapter, file), text)
}

function config(changes: Json) {
  return (adapter: string) => {
    const path = join(adapter, 'adapter_config.json')
    const found = JSON.parse(readFileSync(path, 'utf8')) as Json
    writeFileSync(path, JSON.stringify({ ...found, ...changes }))
  }
}

function parameters(changes: Json) {
  const found = { rank: 4, scale: 3, dropout: 0.5 }
  return config({ lora_parameters: { ...found, ...changes } })
}

function tensors(edit: (tensors: Tensors) => void) {
  return (adapter: string) => {
    const path = join(adapter, 'adapters.safetensors')
    const found = parseSafetensors(readFileSync(path))
    edit(found)
    writeFileSync(path, writeSafetensors(found))
  }
}

/** Gives a tensor another name, or takes it away. */
function rename(from: string, to?: string) {
  return tensors((all) => {
    const tensor = all.get(from)
    if (tensor === undefined) throw new Error(`there is no ${from}`)
    all.delete(from)
    if (to !== undefined) all.set(to, tensor)
  })
}

function retype(name: string, dtype: string) {
  return tensors((all) => {
    const tensor = all.get(name)
    if (tensor === undefined) throw new Error(`there is no ${name}`)
    all.set(name, { ...tensor, dtype })
  })
}
