// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The tiny models that know nothing of text, made fit for conversations.

import { fixture, makeModel } from './models'
import { fromBfloat16 } from './safetensors'

// ASCII, of which byte-level tokenizers make one token each; they are what mlx-lm loads for some of these models.
const FIRST = 0x30

/** The text of tokens of these models: one letter for each id. */
export function letters(...ids: number[]): string {
  return ids.map((id) => String.fromCodePoint(FIRST + id)).join('')
}

const TEMPLATE =
  `{%- for message in messages -%}{{ '${letters(1)}' if message.role == 'user' else '${letters(2)}' }}` +
  `{{ message.content + '${letters(0)}' }}{%- endfor -%}` +
  `{%- if add_generation_prompt -%}{{ '${letters(2)}' }}{%- endif -%}`

/**
 * A copy of a fixture with a tokenizer of `size` letters, of which the first three are the end of a message, the user
 * and the assistant. Its weights are 32-bit floats, so that two ways to the same logits do not round to different tokens.
 */
export function makeChatModel(name: string, size: number): string {
  const vocab = Object.fromEntries(Array.from({ length: size }, (_, id) => [letters(id), id]))
  return makeModel({
    from: fixture(name),
    config: { eos_token_id: 0 },
    files: {
      'tokenizer.json': JSON.stringify({
        version: '1.0',
        model: { type: 'BPE', vocab, merges: [] },
      }),
      'tokenizer_config.json': JSON.stringify({
        eos_token: letters(0),
        chat_template: TEMPLATE,
      }),
    },
    weights: (tensors) => {
      for (const [key, tensor] of tensors) {
        if (tensor.dtype === 'BF16') tensors.set(key, fromBfloat16(tensor))
      }
    },
  })
}
