// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel } from 'node-mlx'
import { expect, test } from 'vitest'
import { fixture, makeModel } from '../helpers/models'
import type { Tensors } from '../helpers/safetensors'

const WIDTH = 1024
const HIDDEN = 4096
const LAYERS = 4
const GROUP = 64
const PROMPT = 4000

/** Bytes that look random, and are the same each time. */
function noise(length: number): Uint8Array {
  let state = 1
  const block = Uint8Array.from({ length: 4093 }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state >>> 16
  })
  return Buffer.alloc(length, block)
}

function bf16(shape: number[], value: number) {
  const bits = new DataView(new Float32Array([value]).buffer).getUint16(2, true)
  const size = shape.reduce((product, length) => product * length, 1)
  return { dtype: 'BF16', shape, data: new Uint8Array(new Uint16Array(size).fill(bits).buffer) }
}

/** A model of 67 million parameters: two cores take seconds for mlx-lm's 2048 tokens. */
function makeSlowModel(): string {
  const matrix = (tensors: Tensors, name: string, rows: number, columns: number) => {
    tensors.set(`${name}.weight`, {
      dtype: 'U32',
      shape: [rows, columns / 8],
      data: noise((rows * columns) / 2),
    })
    tensors.set(`${name}.scales`, bf16([rows, columns / GROUP], 0.004))
    tensors.set(`${name}.biases`, bf16([rows, columns / GROUP], -0.03))
  }
  return makeModel({
    from: fixture('llama-4bit'),
    config: {
      hidden_size: WIDTH,
      intermediate_size: HIDDEN,
      num_hidden_layers: LAYERS,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      head_dim: 64,
      max_position_embeddings: 2 * PROMPT,
    },
    weights: (tensors) => {
      tensors.clear()
      matrix(tensors, 'model.embed_tokens', 288, WIDTH)
      tensors.set('model.norm.weight', bf16([WIDTH], 1))
      for (let layer = 0; layer < LAYERS; layer++) {
        const at = `model.layers.${layer}`
        for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj'])
          matrix(tensors, `${at}.self_attn.${name}`, WIDTH, WIDTH)
        matrix(tensors, `${at}.mlp.gate_proj`, HIDDEN, WIDTH)
        matrix(tensors, `${at}.mlp.up_proj`, HIDDEN, WIDTH)
        matrix(tensors, `${at}.mlp.down_proj`, WIDTH, HIDDEN)
        tensors.set(`${at}.input_layernorm.weight`, bf16([WIDTH], 1))
        tensors.set(`${at}.post_attention_layernorm.weight`, bf16([WIDTH], 1))
      }
    },
  })
}

test(
  'passes through a slow model take about a second, and compute the same',
  { retry: { count: 5, delay: 1000 } },
  async () => {
    await using model = await loadModel(makeSlowModel(), { device: 'cpu' })
    const prompt = Array.from({ length: PROMPT }, (_, index) => (index * 7919) % 256)
    const options = {
      maxTokens: 1,
      ignoreEos: true,
      temperature: 0,
      logprobs: 5,
      cache: 'none',
    } as const
    const run = async (prefillStepSize?: number) => {
      const passes: { tokens: number; seconds: number }[] = []
      let [last, before] = [performance.now(), 0]
      const { logprobs } = await model.generate(prompt, {
        ...options,
        prefillStepSize,
        onPromptProgress: ({ processed }) => {
          const now = performance.now()
          passes.push({ tokens: processed - before, seconds: (now - last) / 1000 })
          ;[last, before] = [now, processed]
        },
      })
      return { passes, top: logprobs?.[0]?.top ?? [] }
    }
    const adapted = await run()
    expect(adapted.passes.length).toBeGreaterThan(2)
    // The machine may become slower in the middle of a pass: by the speed of the one before, none takes longer.
    for (const [index, { tokens, seconds }] of adapted.passes.slice(0, -1).entries())
      expect(((adapted.passes[index + 1]?.tokens ?? 0) * seconds) / tokens).toBeLessThan(1.5)
    const times = adapted.passes.map(({ seconds }) => seconds).toSorted((a, b) => a - b)
    expect(times[Math.floor(times.length / 2)]).toBeLessThan(1.5)
    const fixed = await run(512)
    expect(fixed.passes.every(({ tokens }) => tokens === 512 || tokens === PROMPT % 512)).toBe(true)
    expect(adapted.top).toHaveLength(5)
    for (const [index, { id, logprob }] of adapted.top.entries()) {
      expect(id).toBe(fixed.top[index]?.id)
      expect(logprob).toBeCloseTo(fixed.top[index]?.logprob ?? Number.NaN, 3)
    }
  },
)
