// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Models whose weights are computed: one whose logits are the products of integers, and one with the dimensions of a
// small model, which would be too large for the package.

import { createCipheriv } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** How weights are stored: the 4 bits with scales in bf16, in groups of 64. */
export const FORMATS = ['f32', 'bf16', '4 bits'] as const
export type Format = (typeof FORMATS)[number]

const GROUP = 64
const HEAD = 64
/** Weights are integers from -8 to 7, times a scale. */
const LOWEST = -8

interface Dimensions {
  hidden: number
  intermediate: number
  layers: number
  vocab: number
}

interface Tensor {
  name: string
  dtype: string
  shape: number[]
  bytes: Uint8Array
}

/** Rows of numbers. */
interface Matrix {
  rows: number
  columns: number
  numbers: Int8Array
}

/** Makes a matrix. */
type Make = (rows: number, columns: number) => Matrix

const PRODUCT: Dimensions = { hidden: 512, intermediate: 64, layers: 1, vocab: 1024 }
/** Qwen3's, but smaller: those of the demo model, 8 MB. */
const SMALL: Dimensions = { hidden: 256, intermediate: 768, layers: 8, vocab: 3072 }
const SMALL_SCALE = 2 ** -6
const CONTEXT = 2048
/** Rows of the product. */
const TOKENS = [1, 2, 3, 4]

/** Products that a model must compute: for each token, the logits of all. */
export interface Product {
  tokens: number[]
  logits: number[][]
}

/**
 * Writes a model whose logits are products of integers: attention and MLP are zeros, each token's vector has 1 and -1
 * only, which the norm leaves as they are, and the output layer's weights are integers.
 */
export function writeProductModel(folder: string, format: Format): Product {
  const random = randomNumbers()
  const { hidden, vocab } = PRODUCT
  const tokens = random(vocab, hidden)
  tokens.numbers.forEach((number, index) => (tokens.numbers[index] = number < 0 ? -1 : 1))
  const output = random(vocab, hidden)
  write(folder, PRODUCT, format, 1, {
    'model.embed_tokens': tokens,
    lm_head: output,
    ...layers(PRODUCT, zeros),
  })
  const row = ({ numbers }: Matrix, index: number): Int8Array => {
    return numbers.subarray(index * hidden, (index + 1) * hidden)
  }
  const logits = TOKENS.map((token) => {
    return Array.from({ length: vocab }, (_, each) => dot(row(tokens, token), row(output, each)))
  })
  return { tokens: TOKENS, logits }
}

/** Writes a model of random weights in 4 bits. */
export function writeSmallModel(folder: string): void {
  const random = randomNumbers()
  const { hidden, vocab } = SMALL
  write(folder, SMALL, '4 bits', SMALL_SCALE, {
    'model.embed_tokens': random(vocab, hidden),
    lm_head: random(vocab, hidden),
    ...layers(SMALL, random),
  })
}

/** The matrices of the layers. */
function layers(
  { hidden, intermediate, layers: count }: Dimensions,
  make: Make,
): Record<string, Matrix> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, layer) =>
      Object.entries({
        'self_attn.q_proj': make(hidden, hidden),
        'self_attn.k_proj': make(hidden / 2, hidden),
        'self_attn.v_proj': make(hidden / 2, hidden),
        'self_attn.o_proj': make(hidden, hidden),
        'mlp.gate_proj': make(intermediate, hidden),
        'mlp.up_proj': make(intermediate, hidden),
        'mlp.down_proj': make(hidden, intermediate),
      }).map(([name, matrix]) => [`model.layers.${layer}.${name}`, matrix] as const),
    ).flat(),
  )
}

function zeros(rows: number, columns: number): Matrix {
  return { rows, columns, numbers: new Int8Array(rows * columns) }
}

/** The same numbers in each process. */
function randomNumbers(): Make {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  return (rows, columns) => {
    const bytes = stream.update(Buffer.alloc(rows * columns))
    return { rows, columns, numbers: Int8Array.from(bytes, (byte) => (byte & 15) + LOWEST) }
  }
}

function dot(one: Int8Array, other: Int8Array): number {
  return one.reduce((sum, number, index) => sum + number * (other[index] ?? 0), 0)
}

function write(
  folder: string,
  { hidden, intermediate, layers: count, vocab }: Dimensions,
  format: Format,
  scale: number,
  matrices: Record<string, Matrix>,
): void {
  mkdirSync(folder, { recursive: true })
  const isQuantized = format === '4 bits'
  const norms = Array.from({ length: count }, (_, layer) => [
    `model.layers.${layer}.input_layernorm`,
    `model.layers.${layer}.post_attention_layernorm`,
  ]).flat()
  const tensors = [
    ...Object.entries(matrices).flatMap(([name, matrix]) => encode(name, matrix, format, scale)),
    ...[...norms, 'model.norm'].map((name) => {
      return dense(`${name}.weight`, [hidden], new Float32Array(hidden).fill(1), format)
    }),
  ]
  writeFileSync(join(folder, 'model.safetensors'), toSafetensors(tensors))
  writeJson(folder, 'config.json', {
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: count,
    num_attention_heads: hidden / HEAD,
    num_key_value_heads: hidden / HEAD / 2,
    head_dim: HEAD,
    // So small that the norm of 1 and -1 is exact.
    rms_norm_eps: 1e-30,
    vocab_size: vocab,
    max_position_embeddings: CONTEXT,
    tie_word_embeddings: false,
    torch_dtype: format === 'f32' ? 'float32' : 'bfloat16',
    ...(isQuantized && { quantization: { bits: 4, group_size: GROUP, mode: 'affine' } }),
  })
  // One letter for each id.
  const letters = Array.from({ length: vocab }, (_, id) => [String.fromCodePoint(0x4e00 + id), id])
  const model = { type: 'BPE', vocab: Object.fromEntries(letters) as object, merges: [] }
  writeJson(folder, 'tokenizer.json', { version: '1.0', model })
}

/** The tensors of a matrix. */
function encode(
  name: string,
  { rows, columns, numbers }: Matrix,
  format: Format,
  scale: number,
): Tensor[] {
  if (format !== '4 bits') {
    const values = Float32Array.from(numbers, (number) => number * scale)
    return [dense(`${name}.weight`, [rows, columns], values, format)]
  }
  // The first of two numbers is in the lower half of their byte.
  const bytes = Uint8Array.from({ length: numbers.length / 2 }, (_, index) => {
    const [low = 0, high = 0] = numbers.subarray(2 * index)
    return (low - LOWEST) | ((high - LOWEST) << 4)
  })
  const groups = [rows, columns / GROUP]
  const constant = (kind: string, value: number): Tensor => {
    const values = new Float32Array((rows * columns) / GROUP).fill(value)
    return dense(`${name}.${kind}`, groups, values, format)
  }
  return [
    { name: `${name}.weight`, dtype: 'U32', shape: [rows, columns / 8], bytes },
    constant('scales', scale),
    constant('biases', LOWEST * scale),
  ]
}

/** Numbers with at most eight significant bits, which bf16 keeps. */
function dense(name: string, shape: number[], values: Float32Array, format: Format): Tensor {
  if (format === 'f32') return { name, dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }
  const halves = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16)
  return { name, dtype: 'BF16', shape, bytes: new Uint8Array(halves.buffer) }
}

/** Eight bytes of header length, a JSON header, the data. */
function toSafetensors(tensors: readonly Tensor[]): Uint8Array {
  let end = 0
  const header = tensors.map(({ name, dtype, shape, bytes }) => {
    const start = end
    end += bytes.length
    return [name, { dtype, shape, data_offsets: [start, end] }]
  })
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...tensors.map(({ bytes }) => bytes)])
}

function writeJson(folder: string, name: string, value: object): void {
  writeFileSync(join(folder, name), JSON.stringify(value))
}
