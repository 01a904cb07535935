// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The code in README.md and docs/. A fence of JavaScript or TypeScript is a module of its own. Its info string may say
// - `run`: it is also executed
// - `continues`: it goes on where the fence before it in the same document ended
// A module that does not import node-mlx goes on where README's first fence has loaded the model: it has a `model`.

import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { read } from './find-commands'
import { root } from './models'

export const MODEL = 'mlx-community/Qwen3-0.6B-4bit'

const LOADED = `import { loadModel } from 'node-mlx'; const model = await loadModel('${MODEL}');`
const NOT_WRITTEN_HERE = /^(?:node_modules|reference|\.vitepress)\b/u

/** Packages that are not installed here, so that their snippets see them without types, and why. */
const UNTYPED: Record<string, string> = {
  electron: 'its binary is not on npm',
}

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2024', 'dom', 'dom.asynciterable', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  rootDir: '.',
  outDir: 'out',
}

export interface Fence {
  /** The document, and the line on which the code begins. */
  at: string
  language: string
  flags: string[]
  code: string
}

/** The documents whose snippets are tested. */
export function documents(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !NOT_WRITTEN_HERE.test(name))
    .map((name) => `docs/${name}`)
  return ['README.md', ...docs.toSorted()]
}

export function fencesOf(document: string): Fence[] {
  const text = read(document)
  return [...text.matchAll(/^( *)(`{3,})([^`\n]*)\n([\s\S]*?)^\1\2$/gmu)].map((match) => {
    const [, indent = '', , info = '', code = ''] = match
    const [language = '', ...flags] = info.trim().split(/\s+/u)
    const line = text.slice(0, match.index).split('\n').length + 1
    return {
      at: `${document}:${line}`,
      language,
      flags,
      code: code.replaceAll(`\n${indent}`, '\n'),
    }
  })
}

export interface Module {
  /** The fence that it ends with, as a name for files. */
  name: string
  flags: string[]
  source: string
}

/** The modules of a document. */
export function modulesOf(document: string): Module[] {
  let source = ''
  return fencesOf(document)
    .filter(({ language }) => language === 'js' || language === 'ts')
    .map(({ at, flags, code }) => {
      source = flags.includes('continues') ? source + code : withModel(code)
      return { name: at.replaceAll(/[/:]/gu, '-'), flags, source }
    })
}

function withModel(code: string): string {
  const isComplete = /^import .*'node-mlx\b/mu.test(code) || !/\bmodel\b/u.test(code)
  return isComplete ? code : `${LOADED}\n${code}`
}

/** Compiles modules to `folder`/out, and returns what the compiler has to say. */
export async function compile(modules: readonly Module[], folder: string): Promise<string> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  for (const { name, source } of modules) write(`${name}.mts`, source)
  write(
    'untyped.d.ts',
    Object.keys(UNTYPED)
      .map((name) => `declare module '${name}'\n`)
      .join(''),
  )
  write('tsconfig.json', JSON.stringify({ compilerOptions: COMPILER_OPTIONS }))
  return promisify(execFile)(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    folder,
  ]).then(
    ({ stdout }) => stdout,
    ({ stdout, message }) => String(stdout || message),
  )
}
