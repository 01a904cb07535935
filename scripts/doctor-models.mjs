// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The tiny models that the package carries for `npx node-mlx doctor`: some of the fixtures, with the logits that mlx-lm
// has for them. Weights in bf16 become f32, which changes no number and leaves little room for other results.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './shared.mjs'

const FIXTURES = '__test__/fixtures'
/** Dense and in half precision, quantized in the usual ways, with experts, with a window, and recurrent. */
const MODELS = [
  'qwen3-bf16',
  'qwen3-4bit',
  'llama-3bit',
  'qwen3_moe-4bit',
  'gpt_oss-mxfp4',
  'gemma3_text-4bit',
  'qwen3_5-4bit',
]
/** What stays in bf16. */
const HALF = new Set(['qwen3-bf16'])
const DIGITS = 5

const TOLERANCES = 'tools/parity/tolerances.json'

/** What the models in the package are made of. */
export const DOCTOR_INPUTS = [
  'scripts/doctor-models.mjs',
  TOLERANCES,
  ...MODELS.map((name) => `${FIXTURES}/${name}`),
]

/** Writes the models into a folder, each into one of its own. */
export function writeDoctorModels(folder) {
  const tolerances = JSON.parse(readFileSync(join(root, TOLERANCES), 'utf8'))
  for (const name of MODELS) {
    const source = join(root, FIXTURES, name)
    const target = join(folder, name)
    mkdirSync(target, { recursive: true })
    const half = HALF.has(name)
    if (half) cpSync(join(source, 'model.safetensors'), join(target, 'model.safetensors'))
    else writeFileSync(join(target, 'model.safetensors'), widen(read(source, 'model.safetensors')))
    const expected = golden(read(source, 'golden.safetensors'))
    const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8'))
    const dtype = half ? config.torch_dtype : 'float32'
    writeJson(target, 'config.json', { ...config, torch_dtype: dtype })
    writeJson(target, 'tokenizer.json', tokenizer(expected.logits[0].length))
    // Log-probabilities may be twice as far apart as logits, because the sum over them may be, too.
    const { abs, mean } = half ? tolerances.bf16_native : tolerances.f32
    writeJson(target, 'expected.json', {
      limit: 2 * abs,
      meanLimit: 2 * mean,
      mayTie: half,
      ...expected,
    })
  }
}

/** A prompt, the tokens that are the likeliest after it, and the logits of each of them and of the next. */
function golden(tensors) {
  const [, vocab] = tensors.get('short.steps').shape
  // The prompt's last position is the first that counts.
  const logits = [
    ...numbers(tensors, 'short.prefill').slice(-vocab),
    ...numbers(tensors, 'short.steps'),
  ].map((logit) => Number(logit.toFixed(DIGITS)))
  const rows = Array.from({ length: logits.length / vocab }, (_, row) => {
    return logits.slice(row * vocab, (row + 1) * vocab)
  })
  const [prompt, tokens] = ['short.prompt', 'short.tokens'].map((name) => numbers(tensors, name))
  return { prompt, tokens, logits: rows }
}

/** A tokenizer for models that know nothing of text: one letter for each id. */
function tokenizer(size) {
  const letters = Array.from({ length: size }, (_, id) => [String.fromCodePoint(0x4e00 + id), id])
  return { version: '1.0', model: { type: 'BPE', vocab: Object.fromEntries(letters), merges: [] } }
}

/** The tensors of a safetensors file: eight bytes of header length, a JSON header, the data. */
function read(folder, name) {
  const bytes = readFileSync(join(folder, name))
  const start = 8 + Number(bytes.readBigUInt64LE())
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, start))
  const tensors = Object.entries(header).map(([key, { dtype, shape, data_offsets: offsets }]) => {
    const [from, to] = offsets.map((offset) => start + offset)
    return [key, { dtype, shape, data: Uint8Array.from(bytes.subarray(from, to)) }]
  })
  return new Map(tensors)
}

function numbers(tensors, name) {
  const { dtype, data } = tensors.get(name)
  return [...(dtype === 'I32' ? new Int32Array(data.buffer) : new Float32Array(data.buffer))]
}

/** A safetensors file of these tensors, those in bf16 as f32. */
function widen(tensors) {
  const header = { __metadata__: { format: 'mlx' } }
  const parts = []
  let end = 0
  for (const [name, { dtype, shape, data }] of tensors) {
    const isHalf = dtype === 'BF16'
    const wide = isHalf
      ? Uint32Array.from(new Uint16Array(data.buffer), (bits) => bits << 16)
      : data
    const bytes = new Uint8Array(wide.buffer)
    header[name] = {
      dtype: isHalf ? 'F32' : dtype,
      shape,
      data_offsets: [end, (end += bytes.length)],
    }
    parts.push(bytes)
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...parts])
}

function writeJson(folder, name, value) {
  writeFileSync(join(folder, name), JSON.stringify(value))
}
