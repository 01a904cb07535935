// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { makeModel } from './models'
import { writeSafetensors, type Tensor, type Tensors } from './safetensors'

const HIDDEN = 2048
const INTERMEDIATE = 49_152
const VOCABULARY = 288
/** 2 to the power of -7 in bf16. */
const WEIGHT = Uint8Array.of(0, 0x3c)
const ONE = Uint8Array.of(0x80, 0x3f)

/** A Llama of one layer and 0.6 GB, with matrices that are joined when they are loaded. Its numbers mean nothing. */
export function makeBigModel(): string {
  const layer = 'model.layers.0'
  const tensors: Tensors = new Map([
    ['model.embed_tokens.weight', filled(VOCABULARY, HIDDEN)],
    ['lm_head.weight', filled(VOCABULARY, HIDDEN)],
    ['model.norm.weight', ones()],
    [`${layer}.input_layernorm.weight`, ones()],
    [`${layer}.post_attention_layernorm.weight`, ones()],
    [`${layer}.self_attn.q_proj.weight`, filled(HIDDEN, HIDDEN)],
    [`${layer}.self_attn.k_proj.weight`, filled(HIDDEN, HIDDEN)],
    [`${layer}.self_attn.v_proj.weight`, filled(HIDDEN, HIDDEN)],
    [`${layer}.self_attn.o_proj.weight`, filled(HIDDEN, HIDDEN)],
    [`${layer}.mlp.gate_proj.weight`, filled(INTERMEDIATE, HIDDEN)],
    [`${layer}.mlp.up_proj.weight`, filled(INTERMEDIATE, HIDDEN)],
    [`${layer}.mlp.down_proj.weight`, filled(HIDDEN, INTERMEDIATE)],
  ])
  return makeModel({
    config: {
      hidden_size: HIDDEN,
      intermediate_size: INTERMEDIATE,
      num_hidden_layers: 1,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      max_position_embeddings: 32_768,
      torch_dtype: 'bfloat16',
    },
    files: { 'model.safetensors': writeSafetensors(tensors) },
  })
}

function ones(): Tensor {
  return { dtype: 'BF16', shape: [HIDDEN], data: Buffer.alloc(2 * HIDDEN, ONE) }
}

function filled(...shape: [number, number]): Tensor {
  return { dtype: 'BF16', shape, data: Buffer.alloc(2 * shape[0] * shape[1], WEIGHT) }
}
