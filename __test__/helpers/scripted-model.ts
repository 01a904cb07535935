// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A model that says what the test wants. Attention and MLP add nothing, so the next token depends on the last
// one alone: the embedding of token i of the script is the i-th unit vector, and the head's row of the token
// after it is the same vector.

import { makeModel, type Json } from './models'
import { floats, type Tensor, type Tensors } from './safetensors'

const HIDDEN = 64
const VOCAB = 288
// The fixture's vocabulary: a token for each byte, with the byte as its id, then merges, then special tokens.
const BYTES = 256
const SPECIAL = 285
const BYTE_TO_CHARACTER = byteToCharacter()

export const START = 0
export const EOS = 287

/** One token of the script: its bytes. */
export type Piece = string | readonly number[]

export interface Scripted {
  folder: string
  /** Token ids of the pieces. */
  tokens: number[]
  /** A prompt after which the script follows. */
  prompt: number[]
}

export interface ScriptOptions {
  /** Pieces that are special tokens. */
  special?: readonly string[]
  /** Tokens that the model has, but does not say. */
  vocabulary?: readonly string[]
  /** A chat template, after which the script follows. */
  template?: string
}

/** Makes a model that answers with these pieces, all different, and then the end-of-sequence token. */
export function makeScriptedModel(
  pieces: readonly Piece[],
  { special = [], vocabulary = [], template }: ScriptOptions = {},
): Scripted {
  const names = pieces.map(byteLevel)
  const longer = [...names, ...vocabulary].filter((name) => name.length > 1)
  if (new Set(names).size < names.length || longer.length > SPECIAL - BYTES) {
    throw new Error('too many pieces, or two that are the same')
  }
  const merged = Array.from(
    { length: SPECIAL - BYTES },
    (_, index) => longer[index] ?? `unused${index}`,
  )
  const vocab = [...BYTE_TO_CHARACTER.map((code) => String.fromCodePoint(code)), ...merged]
  const tokens = names.map((name) => vocab.indexOf(name))
  const folder = makeModel({
    config: { hidden_size: HIDDEN, num_hidden_layers: 1, tie_word_embeddings: false },
    tokenizer: ({ model, added_tokens: added }) => {
      const entries = vocab.map((name, id) => [name, id])
      Object.assign(model as Json, { vocab: Object.fromEntries(entries) as Json, merges: [] })
      const [pattern, ...others] = added as Json[]
      const marked = special.map((content) => ({ ...pattern, content, id: vocab.indexOf(content) }))
      ;(added as Json[]).splice(0, Infinity, ...marked, ...(pattern ? [pattern] : []), ...others)
    },
    ...(template !== undefined && {
      files: { 'chat_template.jinja': `${template}{{ '${String.fromCodePoint(START)}' }}` },
    }),
    weights: (tensors) => script(tensors, [START, ...tokens, EOS]),
  })
  return { folder, tokens, prompt: [START] }
}

function script(tensors: Tensors, chain: readonly number[]): void {
  tensors.clear()
  const unit = floats(
    [HIDDEN],
    Array.from({ length: HIDDEN }, () => 1),
  )
  const layer = 'model.layers.0'
  const projections: Record<string, [number, number]> = {
    'self_attn.q_proj': [HIDDEN, HIDDEN],
    'self_attn.k_proj': [HIDDEN / 2, HIDDEN],
    'self_attn.v_proj': [HIDDEN / 2, HIDDEN],
    'self_attn.o_proj': [HIDDEN, HIDDEN],
    'mlp.gate_proj': [HIDDEN, HIDDEN],
    'mlp.up_proj': [HIDDEN, HIDDEN],
    'mlp.down_proj': [HIDDEN, HIDDEN],
  }
  for (const [name, shape] of Object.entries(projections)) {
    tensors.set(`${layer}.${name}.weight`, floats(shape, new Float32Array(shape[0] * shape[1])))
  }
  tensors.set(`${layer}.input_layernorm.weight`, unit)
  tensors.set(`${layer}.post_attention_layernorm.weight`, unit)
  tensors.set('model.norm.weight', unit)
  tensors.set('model.embed_tokens.weight', oneHot(chain.slice(0, -1)))
  tensors.set('lm_head.weight', oneHot(chain.slice(1)))
}

/** Row `rows[i]` is the i-th unit vector, the other rows are zero. */
function oneHot(rows: readonly number[]): Tensor {
  const values = new Float32Array(VOCAB * HIDDEN)
  rows.forEach((row, index) => {
    values[row * HIDDEN + index] = 1
  })
  return floats([VOCAB, HIDDEN], values)
}

/** Bytes as byte-level BPE writes them: printable ones as they are, the others from U+0100 on. */
function byteLevel(piece: Piece): string {
  const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece
  return Array.from(bytes, (byte) => String.fromCodePoint(BYTE_TO_CHARACTER[byte] ?? 0)).join('')
}

function byteToCharacter(): number[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
    return printable ? byte : next++
  })
}
