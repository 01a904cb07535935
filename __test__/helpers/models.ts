// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Model folders made for one test: copies of a good fixture with something changed.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { parseSafetensors, writeSafetensors, type Tensors } from './safetensors'

export const root = join(import.meta.dirname, '../..')
export const demoModel = join(root, 'models/demo')

/** A small model with random weights: 288 tokens (bytes, a few merges, three special ones), context 512. */
export const llama = fixture('llama')

export function fixture(name: string): string {
  return join(root, '__test__/fixtures', name)
}

/** A tokenizer.json for models that know nothing of text: one letter for each id. */
export function letters(): string {
  const vocab = Object.fromEntries(
    Array.from({ length: 64 }, (_, id) => [String.fromCodePoint(0x4e00 + id), id]),
  )
  return JSON.stringify({ version: '1.0', model: { type: 'BPE', vocab, merges: [] } })
}

export type Json = Record<string, unknown>

/** What to change in a copy of a model. */
export interface Changes {
  /** The fixture to start from. Default: `llama`. */
  from?: string
  /** Keys to set in config.json; `undefined` takes one away. */
  config?: Json
  tokenizer?: (tokenizer: Json) => void
  tokenizerConfig?: Json
  weights?: (tensors: Tensors) => void
  /** Whole files; `null` takes one away. */
  files?: Record<string, string | Uint8Array | null>
}

/** Makes a FIFO; on Windows, which has none in folders, a folder: no regular file either. */
export function makeFifo(path: string): void {
  if (process.platform === 'win32') mkdirSync(path)
  else execFileSync('mkfifo', [path])
}

/** Makes a model folder that is gone after the test file. */
export function makeModel(changes: Changes = {}): string {
  const folder = mkdtempSync(join(scratch(), 'model-'))
  cpSync(changes.from ?? llama, folder, { recursive: true })
  if (changes.config) editJson(join(folder, 'config.json'), changes.config)
  if (changes.tokenizerConfig)
    editJson(join(folder, 'tokenizer_config.json'), changes.tokenizerConfig)
  if (changes.tokenizer) {
    const path = join(folder, 'tokenizer.json')
    const tokenizer = JSON.parse(readFileSync(path, 'utf8')) as Json
    changes.tokenizer(tokenizer)
    writeFileSync(path, JSON.stringify(tokenizer))
  }
  if (changes.weights) {
    const path = join(folder, 'model.safetensors')
    const tensors = parseSafetensors(readFileSync(path))
    changes.weights(tensors)
    writeFileSync(path, writeSafetensors(tensors))
  }
  for (const [name, content] of Object.entries(changes.files ?? {})) {
    if (content === null) rmSync(join(folder, name))
    else writeFileSync(join(folder, name), content)
  }
  return folder
}

/** The tiny model with room for runs long enough to be interrupted. */
export function makeLongModel(): string {
  return makeModel({ config: { max_position_embeddings: 100_000 } })
}

let scratchFolder: string | undefined

/** A folder of this test file. */
export function scratch(): string {
  scratchFolder ??= mkdtempSync(join(tmpdir(), 'node-mlx-test-'))
  return scratchFolder
}

afterAll(() => {
  if (scratchFolder !== undefined) rmSync(scratchFolder, { recursive: true, force: true })
})

function editJson(path: string, changes: Json): void {
  writeFileSync(
    path,
    JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as Json), ...changes }),
  )
}
