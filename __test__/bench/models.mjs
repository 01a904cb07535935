// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The models of random weights that benchmarks run.

import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { root, run, targetDir } from '../../scripts/shared.mjs'

const demo = join(root, 'models/demo')
const TEXT_FILES = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja']
/** As many as Qwen3's tokenizer has, beside the special ones. */
const TOKENS = 151_643
// The file then is about as large, too: 11 MB.
const LONGEST_TOKEN = 8

/** The folder of a model with the dimensions of a real one, made by mlx-lm's MLX where it is not there yet. */
export function benchModel(python, kind, { shape = 'qwen3', layers } = {}) {
  const sizes = layers === undefined ? [shape] : [shape, layers]
  const folder = join(targetDir, 'bench', [kind, ...sizes].join('-'))
  if (!existsSync(join(folder, 'config.json'))) makeModel(python, folder, kind, ...sizes)
  addTextFiles(folder)
  return folder
}

const tinyModels = new Set()

/** The folder of a tiny model, which each process makes anew: it shows that models can be made. */
export function tinyModel(python, kind) {
  const folder = join(targetDir, 'bench', `tiny-${kind}`)
  if (tinyModels.has(kind)) return folder
  for (const old of [folder, largeTokenizerFolder(folder)])
    rmSync(old, { recursive: true, force: true })
  makeModel(python, folder, kind, 'tiny')
  addTextFiles(folder)
  tinyModels.add(kind)
  return folder
}

function makeModel(python, folder, ...args) {
  run(python, [join(import.meta.dirname, 'make_model.py'), folder, ...args])
}

function addTextFiles(folder) {
  for (const file of TEXT_FILES) copyFileSync(join(demo, file), join(folder, file))
}

/** The same model with a tokenizer of Qwen3's size. */
export function withLargeTokenizer(folder) {
  const large = largeTokenizerFolder(folder)
  if (existsSync(join(large, 'tokenizer.json'))) return large
  mkdirSync(large, { recursive: true })
  for (const file of ['config.json', ...TEXT_FILES.slice(1)])
    copyFileSync(join(folder, file), join(large, file))
  const weights = 'model.safetensors'
  if (!existsSync(join(large, weights))) linkSync(join(folder, weights), join(large, weights))
  const tokenizer = JSON.parse(readFileSync(join(demo, 'tokenizer.json'), 'utf8'))
  writeFileSync(join(large, 'tokenizer.json'), JSON.stringify(grow(tokenizer), null, 2))
  return large
}

function largeTokenizerFolder(folder) {
  return `${folder}-tokenizer`
}

/** Adds merges of random tokens; no text needs them, but they have to be read. */
function grow({ model, added_tokens: added, ...rest }) {
  const tokens = Object.keys(model.vocab)
  const known = new Set(tokens)
  const merges = [...model.merges]
  let seed = 1
  const draw = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return tokens[Math.floor((seed / 2 ** 32) * tokens.length)]
  }
  while (tokens.length < TOKENS) {
    const pair = [draw(), draw()]
    const token = pair.join('')
    if (token.length > LONGEST_TOKEN || known.has(token)) continue
    known.add(token)
    tokens.push(token)
    merges.push(pair)
  }
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  return {
    ...rest,
    added_tokens: added.map((token, index) => ({ ...token, id: TOKENS + index })),
    model: { ...model, vocab, merges },
  }
}
