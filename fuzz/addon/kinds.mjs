// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What is changed for each kind of case, and what is then done with it.

import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { call } from './arguments.mjs'
import { mutateBytes, mutateJson, mutateText } from './mutate.mjs'

const root = join(import.meta.dirname, '../..')
const fixtures = join(root, '__test__/fixtures')
const llama = join(fixtures, 'llama')
const read = (...path) => readFileSync(join(...path), 'utf8')
const seeds = (target) => {
  const folder = join(root, 'fuzz/seeds', target)
  return readdirSync(folder).map((name) => read(folder, name).split('\0'))
}

/** Each makes a function for one case, in a folder of its own. `attempt` calls something that may fail, but only well. */
export const KINDS = { config, weights, tokenizer, template, options }

const LETTERS = JSON.stringify({
  model: {
    type: 'BPE',
    vocab: Object.fromEntries(
      Array.from({ length: 64 }, (_, id) => [String.fromCodePoint(0x4e00 + id), id]),
    ),
    merges: [],
  },
})

/** A copy of a model, whose weights are a link. */
function copyOf(model, folder) {
  mkdirSync(folder)
  for (const name of readdirSync(model).filter((file) => !/^golden|^adapters$/u.test(file))) {
    if (name.endsWith('.safetensors')) linkOrCopy(join(model, name), join(folder, name))
    else cpSync(join(model, name), join(folder, name), { recursive: true })
  }
  if (!existsSync(join(folder, 'tokenizer.json')))
    writeFileSync(join(folder, 'tokenizer.json'), LETTERS)
  return folder
}

function linkOrCopy(from, to) {
  try {
    linkSync(from, to)
  } catch {
    cpSync(from, to)
  }
}

/** Loads a folder, and has something done with the model if it is one. */
async function withModel({ loadModel, attempt }, folder, use) {
  const model = await attempt(() => loadModel(folder))
  if (model === undefined) return
  await use(model)
  await model.dispose()
}

/** Short runs, with the usual cache and with others. */
async function generate({ attempt }, model) {
  const prompt = [1, 2, 3, 4, 5].map((id) => id % model.vocabSize)
  const run = { maxTokens: 3, ignoreEos: true }
  await attempt(() => model.generate(prompt, run))
  await attempt(() => model.generate(prompt, { ...run, prefillStepSize: 2, maxKvSize: 8 }))
  await attempt(() => model.generate(prompt, { ...run, kvBits: 8, kvGroupSize: 32 }))
}

/** Every architecture, with another config.json. */
function config(mlx, scratch) {
  const models = readdirSync(fixtures)
    .filter(
      (name) =>
        existsSync(join(fixtures, name, 'config.json')) &&
        existsSync(join(fixtures, name, 'model.safetensors')),
    )
    .map((name) => {
      const folder = copyOf(join(fixtures, name), join(scratch, name))
      return { folder, json: JSON.parse(read(folder, 'config.json')) }
    })
  const words = [
    ...new Set(models.map(({ json }) => json.model_type)),
    'linear',
    'dynamic',
    'yarn',
    'llama3',
    'longrope',
    'gelu',
    'silu',
  ]
  return async (random) => {
    const { folder, json } = random.pick(models)
    writeFileSync(join(folder, 'config.json'), mutateJson(random, json, words))
    await withModel(mlx, folder, (model) => generate(mlx, model))
  }
}

/** A file of weights with another header, or other bytes. */
function weights(mlx, scratch) {
  const models = ['llama', 'llama-4bit', 'mixtral-4bit', 'gpt_oss-mxfp4', 'qwen3_next-4bit'].map(
    (name) => {
      const folder = copyOf(join(fixtures, name), join(scratch, name))
      const bytes = readFileSync(join(fixtures, name, 'model.safetensors'))
      const end = 8 + Number(bytes.readBigUInt64LE())
      return { folder, header: JSON.parse(bytes.toString('utf8', 8, end)), bytes, end }
    },
  )
  const words = [
    'F32',
    'F16',
    'BF16',
    'U32',
    'U8',
    'I64',
    'BOOL',
    'F8_E4M3',
    'F64',
    'F4',
    '__metadata__',
  ]
  return async (random) => {
    const { folder, header, bytes, end } = random.pick(models)
    const path = join(folder, 'model.safetensors')
    rmSync(path)
    writeFileSync(path, random.chance(0.3) ? mutateFile(random, bytes, end) : withHeader())
    await withModel(mlx, folder, (model) => generate(mlx, model))

    function withHeader() {
      // Most tensors stay as they are: the first that is wrong ends the loading.
      const names = Object.keys(header)
      const name = random.pick(names)
      const changed = { [name]: header[name], [random.pick(names)]: header[random.pick(names)] }
      const json = JSON.stringify({
        ...header,
        ...parsed(mutateJson(random, changed, [...words, name])),
      })
      const text = Buffer.from(random.chance(0.1) ? mutateText(random, json) : json)
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(
        random.chance(0.05)
          ? BigInt(random.pick([0, 1, text.length + 1, 2 ** 40]))
          : BigInt(text.length),
      )
      return Buffer.concat([length, text, bytes.subarray(end)])
    }
  }
}

/** Changes the start of a file more than the numbers. */
function mutateFile(random, bytes, end) {
  if (random.chance(0.3)) return mutateBytes(random, bytes)
  return Buffer.concat([mutateBytes(random, bytes.subarray(0, end)), bytes.subarray(end)])
}

function parsed(json) {
  try {
    return JSON.parse(json)
  } catch {
    return {}
  }
}

const TEXTS = [
  'hello there <|im_start|>user\n hi <s> </s>',
  'ﷺ'.repeat(3000),
  'a'.repeat(20_000),
  '中文 é e\u0301 \u{1F600} \0 \u200B',
  ' \n\t '.repeat(2000),
  "it's 1,000,000 words' worth",
]

/** A tokenizer.json of any kind, and texts. */
function tokenizer(mlx, scratch) {
  const folder = copyOf(llama, join(scratch, 'model'))
  const tokenizers = [
    read(llama, 'tokenizer.json'),
    ...seeds('tokenizer_json').map(([json]) => json),
  ]
    .map(parsed)
    .filter((json) => Array.isArray(json) === false && json?.model !== undefined)
  const words =
    'BPE WordPiece WordLevel Unigram ByteLevel Metaspace NFC NFD NFKC NFKD Lowercase BertNormalizer StripAccents Strip Replace Prepend Split Digits Punctuation Whitespace WhitespaceSplit UnicodeScripts FixedLength ByteFallback Fuse TemplateProcessing BertProcessing Sequence Isolated Removed MergedWithNext Contiguous (?=a*x)a (a|aa)+$b \\s+(?!\\S) a*b .'.split(
      ' ',
    )
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    '{"tokenizer_class":"PreTrainedTokenizerFast"}',
  )
  // Most places would be in the vocabulary.
  const change = (random) => {
    const json = random.pick(tokenizers)
    const { vocab, merges, ...rest } = json.model ?? {}
    if (!vocab || random.chance(0.2)) return mutateJson(random, json, words)
    const changed = parsed(mutateJson(random, { ...json, model: rest }, words))
    return JSON.stringify({ ...changed, model: { vocab, merges, ...changed?.model } })
  }
  return async (random) => {
    writeFileSync(join(folder, 'tokenizer.json'), change(random))
    await withModel(mlx, folder, async (model) => {
      const [text, other] = [random.pick(TEXTS), random.pick(TEXTS)]
      const ids = await mlx.attempt(() => model.tokenizer.encode(text))
      if (ids !== undefined) await mlx.attempt(() => model.tokenizer.decode(ids))
      await mlx.attempt(() =>
        model.tokenizer.encode(other, { addSpecialTokens: true, splitSpecialTokens: true }),
      )
      await mlx.attempt(() => model.generate('hello', { raw: true, maxTokens: 2 }))
    })
  }
}

/** What templates are made of, with `|` between two, and a comma for Jinja's `|`: what costs much, or ends. */
const PIECES = [
  '{% for m in messages %}|{% endfor %}|{% if m %}|{% else %}|{% endif %}|{{ m.content }}|{{ messages , tojson }}|{{ x ~ x }}|{{ x[::-1] }}',
  '{% set x = [x, x] %}|{% set ns = namespace(a=1) %}|{% set ns.a = ns.a * 2 %}|{% macro f(x) %}{{ f(x) }}{% endmacro %}|{{ f(1) }}|{{ tools }}',
  '{{ range(100000) , list }}|{{ "a" * 100000 }}|{{ 2 ** 100000 }}|{{ range(9999) , sort , join }}|{{ messages , map(attribute="role") , join }}',
  '{{ "%1000000d" % 1 }}|{% for i in range(99999) %}|{% break %}|{{ loop.index }}|{{ raise_exception("a") }}|{{ strftime_now("%Y%%%+") }}',
  '{%- generation -%}|{% endgeneration %}|{# |#}|{% raw %}|{% endraw %}|{{ bos_token }}|.split("")|.items()| , replace("", "aa")|[0]|("a")|(',
  '{% set x = "a" %}{% for i in range(40) %}{% set x = x ~ x %}{% endfor %}|{{ dict(a=1) }}|{{ x is string }}|{% call f() %}|{% endcall %}',
  '{% filter upper %}|{% endfilter %}|__class__|{% for i in range(5000) %}{% for j in range(5000) %}{{ i }}{% endfor %}{% endfor %}',
  '{% set ns = namespace(x="a") %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}|{{ {"a": 1}["a"] }}|{{ not_there }}',
  '{% for m in messages %}{{ m.role ~ ": " ~ m.content }}{% endfor %}|{{ messages[-1].content , trim , upper , length }}|{{ messages[0] , dictsort }}',
  '{% set ns = namespace(x=[]) %}{% for i in range(30) %}{% set ns.x = ns.x + ns.x + [i] %}{% endfor %}{{ ns.x , length }}|{{ tools , tojson(indent=2) }}',
]
  .join('|')
  .split('|')
  .map((piece) => piece.replaceAll(' , ', ' | '))

/** A chat template, rendered with tools and for a run. */
function template(mlx, scratch) {
  const folder = copyOf(llama, join(scratch, 'model'))
  const settings = JSON.parse(read(llama, 'tokenizer_config.json'))
  const templates = [
    ...seeds('chat_template').map(([text]) => text),
    read(root, 'models/demo/chat_template.jinja'),
  ]
  const pieces = PIECES
  const statements = pieces.filter((piece) => /^\{\{.*\}\}$|^\{% .*%\}.*%\}$/su.test(piece))
  const compose = (random) =>
    Array.from({ length: 1 + random.below(6) }, () =>
      random.pick(random.chance(0.3) ? templates : statements),
    ).join('')
  const messages = [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'hello <|im_end|>' },
    {
      role: 'assistant',
      content: 'x',
      reasoning: 'y',
      toolCalls: [{ name: 'f', arguments: { a: [1, { b: null }] } }],
    },
    { role: 'tool', content: '{}' },
  ]
  const tools = [
    { name: 'f', description: 'd', parameters: { type: 'object', properties: { a: {} } } },
  ]
  return async (random) => {
    let text = random.chance(0.3) ? random.pick(templates) : compose(random)
    for (let count = random.below(3); count > 0; count -= 1) text = mutateText(random, text, pieces)
    writeFileSync(
      join(folder, 'tokenizer_config.json'),
      JSON.stringify({ ...settings, chat_template: text }),
    )
    await withModel(mlx, folder, async (model) => {
      const all = messages.slice(0, 1 + random.below(messages.length))
      const [addGenerationPrompt, sanitizeControlTokens] = [random.chance(0.5), random.chance(0.5)]
      await mlx.attempt(() =>
        model.tokenizer.applyChatTemplate(all, { tools, addGenerationPrompt }),
      )
      await mlx.attempt(() => model.generate(all, { tools, maxTokens: 2, sanitizeControlTokens }))
    })
  }
}

/** Any call with any arguments. */
async function options(mlx) {
  const model = await mlx.loadModel(llama)
  return (random) => call(random, mlx, model, llama)
}
