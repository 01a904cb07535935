// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A made-up mlx-lm with two commits, a package ahead of it, a made-up transformers with two releases, and projects that
// port them, for port-status.spec.ts.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, expect } from 'vitest'
import { root } from './models'

export interface Original {
  original: string
  status: string
  files: string[]
  followedBy: string[]
  movedTo: string | null
  asOracle: string | null
  commentsOnly: boolean | null
  added: number | null
  removed: number | null
  commits: { subject: string; added: number; removed: number }[] | null
  diff?: string | null
}

export interface Result {
  targets: { upstream: string; kind: string; version: string | null }[]
  files: { file: string; upstream: string; original: string; revision: string; follows: unknown }[]
  originals: Original[]
  notPorted: string[]
  problems: { file: string; message: string }[]
}

const TOOL = join(root, 'tools/port-status.mjs')
export const DATE = '2026-01-02'
const BODY = Array.from({ length: 20 }, (_, line) => `line_${line} = ${line}\n`).join('')

// Git's own variables would point to the repository of the hook that runs the tests.
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'))),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_DATE: `${DATE}T12:00:00Z`,
  GIT_COMMITTER_DATE: `${DATE}T12:00:00Z`,
}

const scratch = mkdtempSync(join(tmpdir(), 'node-mlx-port-status-'))
export const clone = join(scratch, 'clone')
export const bare = join(scratch, 'bare.git')
// Inside the clone, as site-packages may lie in some repository that is not mlx-lm's.
export const wheel = join(clone, 'build/site-packages')
export const transformers = join(scratch, 'transformers')
/** The commit that headers name. */
export const recorded = makeMlxLm()
makeTransformers()

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

function makeMlxLm(): string {
  git(clone, 'init', '--quiet', '--initial-branch=main')
  write(clone, {
    'mlx_lm/_version.py': '__version__ = "1.0.0"\n',
    'mlx_lm/models/same.py': 'same = 1\n',
    'mlx_lm/models/changed.py': 'one = 1\ntwo = 2\n',
    'mlx_lm/models/comment.py': '# Copyright 2025\nx = 1\n',
    'mlx_lm/models/deleted.py': 'gone = 1\n',
    'mlx_lm/models/moved.py': BODY,
    'mlx_lm/models/followed.py': 'x = 1\n',
    'mlx_lm/models/llama.py': 'from .same import same\n',
  })
  commit(clone, 'First')
  const first = git(clone, 'rev-parse', 'HEAD').trim()
  rmSync(join(clone, 'mlx_lm/models/deleted.py'))
  rmSync(join(clone, 'mlx_lm/models/moved.py'))
  write(clone, {
    'mlx_lm/_version.py': '__version__ = "1.1.0"\n',
    'mlx_lm/models/changed.py': 'one = 1\ntwo = 3\nthree = 3\n',
    'mlx_lm/models/comment.py': '# Copyright 2026\n\nx = 1\n',
    'mlx_lm/models/elsewhere.py': `${BODY}last = 1\n`,
    'mlx_lm/models/followed.py': 'x = 2\n',
    'mlx_lm/models/qwen9.py': 'from .same import same\n',
  })
  commit(clone, 'Second: "quoted"\tand tabbed')
  git(clone, 'tag', 'v1.1.0')
  git(clone, 'clone', '--quiet', '--bare', clone, bare)
  write(wheel, {
    'mlx_lm/_version.py': '__version__ = "1.2.0"\n',
    'mlx_lm/models/same.py': 'same = 1\n',
    'mlx_lm/models/changed.py': 'one = 1\ntwo = 4\n',
    'mlx_lm/models/comment.py': '# Copyright 2027\nx = 1\n',
    'mlx_lm/models/followed.py': 'x = 3\n',
    'mlx_lm/models/released.py': 'x = 1\n',
    'mlx_lm/models/llama.py': 'from .same import same\n',
  })
  return first
}

function makeTransformers() {
  const inRepository = (version: string, body: string) => ({
    'src/transformers/__init__.py': `__version__ = "${version}"\n`,
    'src/transformers/same.py': 'same = 1\n',
    'src/transformers/models/auto/changed.py': body,
  })
  git(transformers, 'init', '--quiet', '--initial-branch=main')
  write(transformers, inRepository('5.0.0', 'x = 1\n'))
  commit(transformers, 'First')
  git(transformers, 'tag', 'v5.0.0')
  write(transformers, inRepository('5.1.0', 'x = 2\n'))
  commit(transformers, 'Second')
}

/** site-packages with this version of the made-up transformers. */
export function transformersPackage(version: string, body: string): string {
  const folder = mkdtempSync(join(scratch, 'site-packages-'))
  write(folder, {
    'transformers/__init__.py': `__version__ = "${version}"\n`,
    'transformers/same.py': 'same = 1\n',
    'transformers/models/auto/changed.py': body,
  })
  return folder
}

/** The header of a port of the made-up transformers 5.0.0. */
export function transformersHeader(...originals: string[]): string {
  return (
    '// Copyright (c) 2026 node-mlx contributors\n' +
    '// Ported from transformers (https://github.com/huggingface/transformers)\n' +
    `${originals.map((path) => `// Original: src/transformers/${path}.py\n`).join('')}` +
    '// Git Tag: v5.0.0\n'
  )
}

/** The header of a port of mlx_lm/models/<name>.py. */
export function header(name: string): string {
  return (
    '// Copyright (c) 2026 node-mlx contributors\n' +
    '// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)\n' +
    `// Original: mlx_lm/models/${name}.py\n` +
    `// Git Hash: ${recorded} (${DATE})\n`
  )
}

export function makeProject(files: Record<string, string>): string {
  const folder = mkdtempSync(join(scratch, 'project-'))
  write(folder, files)
  return folder
}

function write(folder: string, files: Record<string, string>) {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

function git(folder: string, ...args: string[]): string {
  mkdirSync(folder, { recursive: true })
  return execFileSync('git', args, { cwd: folder, env, encoding: 'utf8' })
}

function commit(folder: string, message: string) {
  git(folder, 'add', '--all')
  const who = ['-c', 'user.name=Nobody', '-c', 'user.email=nobody@example.org']
  git(folder, ...who, 'commit', '--quiet', '--no-gpg-sign', '--message', message)
}

export function run(folder: string, ...args: string[]) {
  return spawnSync(process.execPath, [TOOL, '--root', folder, ...args], { encoding: 'utf8' })
}

export async function runAsync(folder: string, ...args: string[]) {
  const child = spawn(process.execPath, [TOOL, '--root', folder, ...args])
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = (await once(child, 'close')) as [number | null]
  const [stdout, stderr] = await output
  return { args, code, stdout, stderr }
}

export function runJson(folder: string, ...args: string[]) {
  const { status, stdout, stderr } = run(folder, ...args, '--json')
  expect(stderr).toBe('')
  return { status, result: JSON.parse(stdout) as Result }
}

export function find({ originals }: Result, name: string): Original {
  const found = originals.find(({ original }) => original === `mlx_lm/models/${name}.py`)
  if (found === undefined) throw new Error(`no ${name}`)
  return found
}

export function statuses({ originals }: Result) {
  return Object.fromEntries(
    originals.map(({ original, status }) => [original.slice(14, -3), status]),
  )
}
