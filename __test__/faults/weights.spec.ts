// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, loadInChild } from '../helpers/child'
import { fixture, letters, llama, makeFifo, makeModel, scratch } from '../helpers/models'
import {
  editHeader,
  floats,
  withHeaderLength,
  type Header,
  padHeader,
  type HeaderEntry,
  type Tensors,
} from '../helpers/safetensors'

const WEIGHTS = 'model.safetensors'
const NORM = 'model.norm.weight'
const EMBEDDING = 'model.embed_tokens.weight'
const good = readFileSync(join(llama, WEIGHTS))

const withFile = (file: Uint8Array) => makeModel({ files: { [WEIGHTS]: file } })
const withHeader = (edit: (header: Header) => Header | string) => withFile(editHeader(good, edit))
const withTensors = (weights: (tensors: Tensors) => void) => makeModel({ weights })

/** The good weights with one entry of the header changed. */
function withEntry(name: string, change: (entry: HeaderEntry) => object): string {
  return withHeader((header) => {
    const entry = header[name]
    if (entry === undefined) throw new Error(name)
    return { ...header, [name]: { ...entry, ...change(entry) } }
  })
}

test('row 9: a header of an impossible length is invalid', async () => {
  const outcomes = await loadInChild({
    zero: withFile(withHeaderLength(good, 0n)),
    '2^63': withFile(withHeaderLength(good, 2n ** 63n)),
    '2^64 - 1': withFile(withHeaderLength(good, 2n ** 64n - 1n)),
    'over 100 MB': withFile(padHeader(good, 100_000_001)),
    'longer than the file': withFile(withHeaderLength(good, BigInt(good.length))),
    garbage: withFile(withHeaderLength(good, 20n)),
  })
  expectCodes(outcomes, 'ERR_WEIGHTS_INVALID')
  expect(outcomes['over 100 MB'].message).toContain('the header length is 100000001 bytes')
})

test('row 10: a file that is too short is invalid', async () => {
  expectCodes(
    await loadInChild({
      empty: withFile(new Uint8Array()),
      'seven bytes': withFile(good.subarray(0, 7)),
      'header cut': withFile(good.subarray(0, 100)),
      'data cut': withFile(good.subarray(0, -1)),
    }),
    'ERR_WEIGHTS_INVALID',
  )
})

test('row 11: overlapping, missing or excess data is invalid, and so are duplicate keys', async () => {
  expectCodes(
    await loadInChild({
      overlap: withEntry(NORM, () => ({ data_offsets: [0, 128] })),
      reversed: withEntry(NORM, ({ data_offsets: [start, end] }) => ({
        data_offsets: [end, start],
      })),
      hole: withHeader(({ [NORM]: _, ...header }) => header),
      trailing: withFile(Buffer.concat([good, Buffer.alloc(4)])),
      duplicate: withHeader(
        (header) =>
          `${JSON.stringify(header).slice(0, -1)},"${NORM}":${JSON.stringify(header[NORM])}}`,
      ),
    }),
    'ERR_WEIGHTS_INVALID',
  )
})

test('row 12: an impossible shape is invalid', async () => {
  const withShape = (shape: number[]) => withEntry(NORM, () => ({ shape }))
  expectCodes(
    await loadInChild({
      '-1': withShape([-1]),
      '[-1, -1]': withShape([-1, -1]),
      '[-1, -32]': withShape([-1, -32]),
      '1.5': withShape([1.5]),
      '2^32 + 4': withShape([2 ** 32 + 4]),
      'product wraps to 0': withShape([2 ** 32, 2 ** 32]),
      'product wraps to 32': withShape([2 ** 62, 4, 32]),
      'rank 9': withShape([1, 1, 1, 1, 1, 1, 1, 1, 32]),
    }),
    'ERR_WEIGHTS_INVALID',
  )
})

test('row 13: a tensor name with NUL is invalid', async () => {
  const renamed = withHeader(({ [NORM]: norm, ...header }) =>
    norm === undefined ? header : { ...header, 'model.norm\0.weight': norm },
  )
  expectCodes(await loadInChild({ renamed }), 'ERR_WEIGHTS_INVALID')
})

test('row 14: a dtype that is unknown, or wrong for its layer, is invalid', async () => {
  expectCodes(
    await loadInChild({
      unknown: withEntry(NORM, () => ({ dtype: 'F31' })),
      'integer norm': withEntry(NORM, () => ({ dtype: 'I32' })),
      'integer embedding': withEntry(EMBEDDING, () => ({ dtype: 'U32' })),
      'boolean projection': withTensors((tensors) => {
        const data = new Uint8Array(32 * 32)
        tensors.set('model.layers.0.self_attn.q_proj.weight', {
          dtype: 'BOOL',
          shape: [32, 32],
          data,
        })
      }),
    }),
    'ERR_WEIGHTS_INVALID',
  )
})

test('row 15: tensors that are missing, left over or of the wrong shape are listed', async () => {
  const outcomes = await loadInChild({
    missing: withTensors((tensors) => {
      tensors.delete(NORM)
      tensors.delete(EMBEDDING)
    }),
    'left over': withTensors((tensors) => tensors.set('model.extra.weight', floats([1], [1]))),
    shape: withTensors((tensors) => tensors.set(NORM, floats([31], new Float32Array(31)))),
    rank: withTensors((tensors) => tensors.set(NORM, floats([1, 32], new Float32Array(32)))),
  })
  expectCodes(outcomes, 'ERR_WEIGHTS_MISMATCH')
  expect(outcomes.missing.message).toContain(NORM)
  expect(outcomes.missing.message).toContain(EMBEDDING)
  expect(outcomes['left over'].message).toContain('model.extra.weight')
  expect(outcomes.shape.message).toContain(NORM)
})

const INDEX = 'model.safetensors.index.json'
const sharded = fixture('llama-sharded')
const withIndex = (index: object | string, files: Record<string, null> = {}) =>
  makeModel({
    from: sharded,
    files: {
      [INDEX]: typeof index === 'string' ? index : JSON.stringify(index),
      'tokenizer.json': letters(),
      ...files,
    },
  })

test('row 16: an index that names files elsewhere is unsafe', async () => {
  const naming = (file: string) => withIndex({ weight_map: { other: 1, [NORM]: file } })
  const outcomes = await loadInChild({
    above: naming('../x.safetensors'),
    parent: naming('..'),
    absolute: naming('/etc/passwd'),
    UNC: naming('\\\\server\\share\\x.safetensors'),
    stream: naming('a:b'),
    NUL: naming('a\0b'),
  })
  expectCodes(outcomes, 'ERR_UNSAFE_PATH')
  expect(outcomes.above.details).toEqual({ file: INDEX, name: '../x.safetensors' })
})

/** The good model, with its weights in `path` and a link to them in the folder. */
function linked(folder: string, path: string): string {
  renameSync(join(folder, WEIGHTS), path)
  symlinkSync(path, join(folder, WEIGHTS))
  return folder
}

/** Puts a link of a blob between the weights and where they lie. */
function relink(folder: string, path: string, blob: string): void {
  symlinkSync(path, blob)
  rmSync(join(folder, WEIGHTS))
  symlinkSync(blob, join(folder, WEIGHTS))
}

test('row 17: a link out of the folder is unsafe, unless it points to the blobs of the cache', async () => {
  const elsewhere = mkdtempSync(join(scratch(), 'elsewhere-'))
  const cache = mkdtempSync(join(scratch(), 'cache-'))
  const shared = join(cache, 'blobs/ab')
  const cached = join(cache, 'models--a--b')
  const blobs = join(cached, 'blobs')
  const snapshot = join(cached, 'snapshots/0123')
  for (const folder of [blobs, shared, join(cached, 'snapshots')]) {
    mkdirSync(folder, { recursive: true })
  }
  const other = join(cached, 'snapshots/4567')
  const third = join(cached, 'snapshots/89ab')
  const escaping = join(cached, 'snapshots/cdef')
  const deeper = join(snapshot, '4bit')
  for (const folder of [snapshot, deeper, other, third, escaping]) renameSync(makeModel(), folder)
  // As huggingface_hub has it for what several models share: the blob is itself a link.
  linked(third, join(shared, 'abc'))
  relink(third, join(shared, 'abc'), join(blobs, 'shared'))
  linked(escaping, join(elsewhere, 'blob'))
  relink(escaping, join(elsewhere, 'blob'), join(blobs, 'escaping'))
  const inside = makeModel()
  const outside = await loadInChild({
    elsewhere: linked(makeModel(), join(elsewhere, 'weights')),
    'beside the blobs': linked(other, join(cached, 'weights')),
    'through a blob': escaping,
  })
  expectCodes(outside, 'ERR_UNSAFE_PATH')
  expect(outside.elsewhere.details).toEqual({ file: WEIGHTS, name: join(elsewhere, 'weights') })
  const allowed = await loadInChild({
    snapshot: linked(snapshot, join(blobs, 'abc')),
    'a folder of a snapshot': linked(deeper, join(blobs, 'def')),
    'a shared blob': third,
    inside: linked(inside, join(inside, 'weights')),
  })
  for (const outcome of Object.values(allowed)) expect(outcome.code).toBeUndefined()
})

test('row 18: a weight file that is not a regular file is invalid', async () => {
  const without = () => makeModel({ files: { [WEIGHTS]: null } })
  const [fifo, folder, device, dangling] = [without(), without(), without(), without()]
  makeFifo(join(fifo, WEIGHTS))
  mkdirSync(join(folder, WEIGHTS))
  symlinkSync('/dev/zero', join(device, WEIGHTS))
  symlinkSync(join(dangling, 'nothing'), join(dangling, WEIGHTS))
  expectCodes(await loadInChild({ fifo, folder, device, dangling }), 'ERR_WEIGHTS_INVALID')
})

test('row 19: shards that the index does not name are loaded too, and a missing one is named', async () => {
  const [first, second] = [1, 2].map((shard) => `model-0000${shard}-of-00002.safetensors`) as [
    string,
    string,
  ]
  const noIndex = withIndex({})
  rmSync(join(noIndex, INDEX))
  const fifo = withIndex({})
  rmSync(join(fifo, INDEX))
  makeFifo(join(fifo, INDEX))
  const outcomes = await loadInChild({
    missing: noIndex,
    fifo,
    garbage: withIndex('{"weight_map": ['),
    list: withIndex('[]'),
    'other kinds': withIndex({ weight_map: { a: 1, b: null, c: [first] } }),
    'other files': withIndex({ weight_map: { [NORM]: 'model-00001-of-00001.safetensors' } }),
    'other tensors': withIndex({ weight_map: { none: second } }),
  })
  for (const [name, { code, message }] of Object.entries(outcomes)) {
    expect([name, code, message]).toEqual([name, undefined, undefined])
  }
  const weight_map = { [NORM]: first, [EMBEDDING]: second }
  const incomplete = await loadInChild({
    second: withIndex({ weight_map }, { [second]: null }),
    both: withIndex({ weight_map }, { [first]: null, [second]: null }),
  })
  expectCodes(incomplete, 'ERR_MODEL_FILE_MISSING')
  expect(incomplete.second.message).toContain(second)
  expect(incomplete.both.message).toContain(first)
  expectCodes(
    await loadInChild({ unnamed: withIndex({}, { [second]: null }) }),
    'ERR_WEIGHTS_MISMATCH',
  )
})

test('fp8 weights are rejected for models that mlx-lm does not dequantize', async () => {
  const weight = 'model.layers.0.self_attn.q_proj.weight'
  const folder = makeModel({
    config: { quantization_config: { quant_method: 'fp8', weight_block_size: [128, 128] } },
    weights: (tensors) => {
      tensors.set(weight, { dtype: 'F8_E4M3', shape: [32, 32], data: new Uint8Array(32 * 32) })
      tensors.set(`${weight}_scale_inv`, floats([1, 1], [1]))
    },
  })
  const { fp8 } = await loadInChild({ fp8: folder })
  expect(fp8.code).toBe('ERR_CONFIG_INVALID')
  expect(fp8.details).toEqual({ file: 'config.json', field: 'quantization_config.quant_method' })
})

test('malformed AutoAWQ layers are rejected', async () => {
  const awq = (weights: (tensors: Tensors) => void) =>
    makeModel({
      from: fixture('llama-awq'),
      weights,
      files: { 'tokenizer.json': letters() },
    })
  const at = 'model.layers.0.mlp.up_proj'
  const outcomes = await loadInChild({
    'no scales': awq((tensors) => tensors.delete(`${at}.scales`)),
    'act-order': awq((tensors) =>
      tensors.set(`${at}.g_idx`, { dtype: 'I32', shape: [1], data: new Uint8Array(4) }),
    ),
    shape: awq((tensors) => tensors.set(`${at}.qzeros`, floats([1, 12], new Float32Array(12)))),
    'another layer': awq((tensors) => {
      const down = tensors.get('model.layers.0.mlp.down_proj.qweight')
      if (down) tensors.set(`${at}.qweight`, down)
    }),
  })
  expectCodes(outcomes, 'ERR_WEIGHTS_MISMATCH')
  for (const { message } of Object.values(outcomes)) expect(message).toContain(at)
})
