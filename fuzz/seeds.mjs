// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Writes the seeds from which each fuzz target starts: node fuzz/seeds.mjs

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = import.meta.dirname
const fixture = (path) => readFileSync(join(here, '../__test__/fixtures', path), 'utf8')

const tensors = (header, bytes) => {
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(bytes)])
}
const tensor = (dtype, shape, begin, end) => ({ dtype, shape, data_offsets: [begin, end] })

const config = JSON.parse(fixture('llama/config.json'))

const piece = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }
const special = { id: 0, content: '<s>', special: true, normalized: false }
const tokenizers = [
  {
    added_tokens: [{ ...special, id: 4 }],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false },
    model: { type: 'BPE', vocab: { h: 0, i: 1, Ġ: 2, hi: 3 }, merges: [['h', 'i']] },
  },
  {
    added_tokens: [special],
    pre_tokenizer: piece,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, piece] },
    model: { type: 'Unigram', unk_id: 0, vocab: ['<s>', '▁', '▁hi', 'h', 'i'].map((t) => [t, -1]) },
  },
  {
    added_tokens: [special],
    normalizer: { type: 'Replace', pattern: { Regex: ' +' }, content: '▁' },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: { type: 'BPE', vocab: { '<s>': 0, '▁': 1, h: 2, i: 3 }, merges: [] },
  },
]

const templates = [
  "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}{{ eos_token }}{% endfor %}",
  '{%- set ns = namespace(n=0) -%}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}{% macro f(x) %}{{ x.split("a")[-1:] }}{% endmacro %}{{ f(messages[0].content) }}',
  "{{ raise_exception('no') if messages | selectattr('role', 'equalto', 'system') | list else '%s' % messages | length }}",
]
const messages = '[{"role":"user","content":"hi a"}]'
const tools = '[{"type":"function","function":{"name":"f","parameters":{}}}]'

const FORMATS =
  'none json_tools qwen3_coder mistral pythonic function_gemma gemma4 glm47 longcat kimi_k2 minimax_m2 minicpm5 harmony'.split(
    ' ',
  )
const outputs = JSON.parse(fixture('tool-calls.json')).cases.map(({ parser, output }) => [
  FORMATS.indexOf(parser),
  output,
])
outputs.push(
  [0, '<think>😀</think>é'],
  [12, '<|channel|>analysis<|message|>a<|end|><|start|>assistant to=f<|message|>{}<|call|>'],
)
const shortest = FORMATS.flatMap((_, format) =>
  outputs
    .filter(([of, output]) => of === format && output.length > 20)
    .toSorted(([, a], [, b]) => a.length - b.length)
    .slice(0, 2),
)

const SEEDS = {
  safetensors_header: [
    tensors({ a: tensor('F32', [2], 0, 8) }, 8),
    tensors(
      {
        __metadata__: { format: 'pt' },
        a: tensor('U8', [], 0, 1),
        b: tensor('BF16', [0, 3], 1, 1),
      },
      1,
    ),
  ],
  index_json: ['model.safetensors', '../model.safetensors'].map((file) =>
    JSON.stringify({ metadata: { total_size: 8 }, weight_map: { a: file } }),
  ),
  config_json: [
    config,
    { ...config, quantization: { group_size: 64, bits: 4 } },
    { ...config, rope_scaling: { rope_type: 'linear', factor: 2 } },
  ].map((value) => JSON.stringify(value)),
  generation_config: [
    fixture('llama/generation_config.json'),
    '{"eos_token_id":[1,2],"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.9,"min_p":0}',
  ],
  tokenizer_json: tokenizers.map((value) => `${JSON.stringify(value)}\0hi  hi<s> h`),
  chat_template: templates.map((template) => [template, messages, tools].join('\0')),
  streaming: shortest.map(([format, output]) =>
    Buffer.concat([Buffer.from([format, 12]), Buffer.from(output)]),
  ),
}

for (const [target, seeds] of Object.entries(SEEDS)) {
  const folder = join(here, 'seeds', target)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  seeds.forEach((seed, index) => writeFileSync(join(folder, String(index)), seed))
}
