// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, loadInChild } from '../helpers/child'
import { llama, makeModel } from '../helpers/models'
import {
  editHeader,
  floats,
  withHeaderLength,
  type Header,
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
  expectCodes(
    await loadInChild({
      zero: withFile(withHeaderLength(good, 0n)),
      '2^63': withFile(withHeaderLength(good, 2n ** 63n)),
      '2^64 - 1': withFile(withHeaderLength(good, 2n ** 64n - 1n)),
      'over 100 MB': withFile(withHeaderLength(good, 100_000_001n)),
      'longer than the file': withFile(withHeaderLength(good, BigInt(good.length))),
      garbage: withFile(withHeaderLength(good, 20n)),
    }),
    'ERR_WEIGHTS_INVALID',
  )
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

test('row 11: data that overlaps, has holes or goes on is invalid, and so are duplicate keys', async () => {
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
