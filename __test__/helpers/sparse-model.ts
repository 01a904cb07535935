// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { makeModel } from './models'
import { joinHeader, type Header } from './safetensors'

const DIM = 8192
const HIDDEN_DIM = 28_672
const KV_DIM = 1024
const LAYERS = 80
const VOCABULARY = 288

/**
 * A Llama of 68 billion parameters whose file has a header and 137 GB of nothing, which take no space on the disk.
 */
export function makeSparseModel(): string {
  const shapes: Record<string, number[]> = {
    'model.embed_tokens.weight': [VOCABULARY, DIM],
    'lm_head.weight': [VOCABULARY, DIM],
    'model.norm.weight': [DIM],
  }
  for (let layer = 0; layer < LAYERS; layer += 1) {
    const parts = {
      input_layernorm: [DIM],
      post_attention_layernorm: [DIM],
      'self_attn.q_proj': [DIM, DIM],
      'self_attn.k_proj': [KV_DIM, DIM],
      'self_attn.v_proj': [KV_DIM, DIM],
      'self_attn.o_proj': [DIM, DIM],
      'mlp.gate_proj': [HIDDEN_DIM, DIM],
      'mlp.up_proj': [HIDDEN_DIM, DIM],
      'mlp.down_proj': [DIM, HIDDEN_DIM],
    }
    for (const [name, shape] of Object.entries(parts)) {
      shapes[`model.layers.${layer}.${name}.weight`] = shape
    }
  }

  const header: Header = {}
  let end = 0
  for (const [name, shape] of Object.entries(shapes)) {
    const start = end
    end += 2 * shape.reduce((product, dim) => product * dim, 1)
    header[name] = { dtype: 'BF16', shape, data_offsets: [start, end] }
  }
  const start = joinHeader(JSON.stringify(header))
  const folder = makeModel({
    config: {
      hidden_size: DIM,
      intermediate_size: HIDDEN_DIM,
      num_attention_heads: 64,
      num_hidden_layers: LAYERS,
      num_key_value_heads: 8,
      max_position_embeddings: 131_072,
      torch_dtype: 'bfloat16',
    },
    files: { 'model.safetensors': start },
  })
  truncateSync(join(folder, 'model.safetensors'), start.length + end)
  return folder
}
