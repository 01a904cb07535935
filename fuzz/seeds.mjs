// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Writes the seeds that somebody thought of into fuzz/seeds, or into another folder: node fuzz/seeds.mjs [folder]
// The others, named found-*, reach what no earlier one does: fuzzing found them.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = import.meta.dirname
const [target = join(here, 'seeds')] = process.argv.slice(2)
if (target.startsWith('-')) throw new Error(`${target} is no folder`)
const fixtures = join(here, '../__test__/fixtures')
const fixture = (path) => readFileSync(join(fixtures, path), 'utf8')
const mapValues = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))

const tensors = (header, bytes) => {
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(bytes)])
}
const tensor = (dtype, shape, begin, end) => ({ dtype, shape, data_offsets: [begin, end] })

const index = (...files) =>
  JSON.stringify({
    metadata: { total_size: 8 },
    weight_map: Object.fromEntries(files.map((file, at) => [`model.layers.${at}.weight`, file])),
  })

/** One of each architecture. */
const configs = Object.fromEntries(
  readdirSync(fixtures)
    .filter((name) => name.endsWith('-4bit') && existsSync(join(fixtures, name, 'config.json')))
    .map((name) => [name.replace('-4bit', ''), JSON.parse(fixture(`${name}/config.json`))]),
)
const llama = JSON.parse(fixture('llama/config.json'))
Object.assign(configs, {
  'llama-dense': llama,
  'llama-linear': { ...llama, rope_scaling: { rope_type: 'linear', factor: 2 } },
  'llama-yarn': JSON.parse(fixture('llama-rope-yarn/config.json')),
  'llama-rope-llama3': JSON.parse(fixture('llama-rope-llama3/config.json')),
})

const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false }
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
const special = { id: 0, content: '<s>', special: true, ...flags }
const tokenizers = {
  'byte-level-bpe': {
    added_tokens: [{ ...special, id: 4 }],
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: { h: 0, i: 1, Ġ: 2, hi: 3 }, merges: [['h', 'i']] },
  },
  unigram: {
    added_tokens: [special],
    pre_tokenizer: metaspace,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, metaspace] },
    model: { type: 'Unigram', unk_id: 0, vocab: ['<s>', '▁', '▁hi', 'h', 'i'].map((t) => [t, -1]) },
  },
  'sentencepiece-bpe': {
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
  wordpiece: {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['<s>', 0], cls: ['<s>', 0] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: 'u',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '<s>': 0, u: 1, h: 2, '##i': 3 },
    },
  },
  wordlevel: {
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: '\\s+|(?=h)' },
      behavior: 'Isolated',
      invert: false,
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [2], tokens: ['<s>'] } },
    },
    model: { type: 'WordLevel', unk_token: 'hi', vocab: { hi: 0, ' ': 1, '<s>': 2 } },
  },
}

const templates = {
  chatml:
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}{{ eos_token }}{% endfor %}",
  'tools-and-macro':
    '{%- set ns = namespace(n=0) -%}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}{% macro f(x) %}{{ x.split("a")[-1:] }}{% endmacro %}{{ f(messages[0].content) }}',
  'raise-or-format':
    "{{ raise_exception('no') if messages | selectattr('role', 'equalto', 'system') | list else '%s' % messages | length }}",
  'loops-and-filters':
    "{% for k, v in messages[0] | dictsort %}{{ loop.index0 ~ k | upper }}{% if loop.last %}{{ v[::-1] | indent(2) | replace('a', 'b') }}{% endif %}{% else %}{% endfor %}{% set x = messages | map(attribute='role') | join(', ') %}{{ x is string and x in 'user' }}",
  generation:
    '{% generation %}{{ bos_token + messages[-1]["content"] * 2 }}{% endgeneration %}{% for i in range(3) if i is odd %}{% continue %}{% endfor %}',
}
const messages = '[{"role":"user","content":"hi a"}]'
const tools = '[{"type":"function","function":{"name":"f","parameters":{}}}]'

const FORMATS =
  'none json_tools qwen3_coder mistral pythonic function_gemma gemma4 glm47 longcat kimi_k2 minimax_m2 minicpm5 harmony'.split(
    ' ',
  )
const outputs = JSON.parse(fixture('tool-calls.json')).cases.filter(
  ({ output }) => output.length > 20,
)
outputs.push(
  { parser: 'none', output: '<think>😀</think>é' },
  {
    parser: 'harmony',
    output: '<|channel|>analysis<|message|>a<|end|><|start|>assistant to=f<|message|>{}<|call|>',
  },
)
const shortest = Object.fromEntries(
  FORMATS.flatMap((format) =>
    outputs
      .filter(({ parser }) => parser === format)
      .toSorted((a, b) => a.output.length - b.output.length)
      .slice(0, 2)
      .map(({ output }, at) => [`${format}-${at + 1}`, [FORMATS.indexOf(format), output]]),
  ),
)

const SEEDS = {
  safetensors_header: {
    'one-tensor': tensors({ a: tensor('F32', [2], 0, 8) }, 8),
    'empty-tensor-and-scalar': tensors(
      {
        __metadata__: { format: 'pt' },
        a: tensor('U8', [], 0, 1),
        b: tensor('BF16', [0, 3], 1, 1),
      },
      1,
    ),
    overlapping: tensors({ a: tensor('I8', [4], 0, 4), b: tensor('I8', [4], 2, 6) }, 6),
    'huge-shape': tensors({ a: tensor('F32', [2 ** 32, 2 ** 32], 0, 0) }, 0),
  },
  index_json: {
    whole: index('model.safetensors'),
    absent: index('model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'),
    parent: index('model.safetensors', '../model.safetensors'),
    absolute: index('/etc/passwd'),
    unc: index('\\\\server\\share'),
    drive: index('C:x'),
    nul: index('model\0.safetensors'),
    dots: index('..', '.', ''),
  },
  config_json: mapValues(configs, (config) => JSON.stringify(config)),
  generation_config: {
    llama: fixture('llama/generation_config.json'),
    qwen: '{"eos_token_id":[1,2],"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.9,"min_p":0}',
    greedy: '{"do_sample":false,"temperature":null}',
  },
  tokenizer_json: mapValues(tokenizers, (tokenizer) => `${JSON.stringify(tokenizer)}\0hi  hi<s> h`),
  chat_template: mapValues(templates, (template) => [template, messages, tools].join('\0')),
  generate_options: {
    'all-left-out': Buffer.alloc(64),
    'all-given': Buffer.alloc(192, 0xff),
    mixed: Buffer.from(Array.from({ length: 192 }, (_, at) => (at * 151) % 256)),
  },
  streaming: mapValues(shortest, ([format, output]) =>
    Buffer.concat([Buffer.from([format, 12, 4]), Buffer.from(output)]),
  ),
}

for (const [name, seeds] of Object.entries(SEEDS)) {
  const folder = join(target, name)
  mkdirSync(folder, { recursive: true })
  for (const [file, seed] of Object.entries(seeds)) writeFileSync(join(folder, file), seed)
}
