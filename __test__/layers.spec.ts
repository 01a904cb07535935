// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// scripts/layers.mjs, on this project and on made-up ones.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { root } from './helpers/models'

const DRAWING = ` JavaScript caller
   ▼
 lib/index.ts               src/low/ is what a description may name
 lib/one.ts  lib/two.ts     side by side
 lib/hub/                   a folder
 lib/errors.ts
   ▼  index.js              generated
 src/high/
   ▼
 src/left/  src/right/      side by side
 src/low.rs`

const SOURCES = {
  'lib/index.ts': "export { one } from './one'\nimport type { Two } from './two'\n",
  'lib/index.mts': "import library from './index.js'\n",
  'lib/one.ts': "import { hub } from './hub'\nconst native = require('../index.js')\n",
  'lib/two.ts': "import { fetch } from './hub/fetch'\n// from './index'\n",
  'lib/hub/index.ts': "import { fetch } from './fetch'\n",
  'lib/hub/fetch.ts': "import {\n  NodeMlxError,\n} from '../errors'\n",
  'lib/errors.ts': '',
  'src/lib.rs': 'mod high;\nmod left;\nmod low;\nmod right;\nuse crate::high::High;\n',
  'src/high/mod.rs': 'use crate::{left::{self, deep::high as other}, low::Low};\n',
  'src/left/mod.rs': '/// As [`crate::high::High`] has it.\npub mod deep;\n',
  'src/left/deep.rs': 'use super::right;\nfn f() { crate::left::right(crate::low::Low) }\n',
  'src/right/mod.rs': 'use super::low::Low;\n',
  'src/low.rs': 'use std::path::Path;\n',
}

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** Checks the made-up project with some of its files replaced. */
function check(changes: Record<string, string> = {}, drawing = DRAWING): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-layers-'))
  folders.push(folder)
  const contributing = `# Contributing\n\n## The parts\n\n\`\`\`\n${drawing}\n\`\`\`\n`
  const files = { ...SOURCES, 'CONTRIBUTING.md': contributing, ...changes }
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  return checkFolder(folder)
}

/** The faults that are found. */
function checkFolder(folder: string): string[] {
  const args = [join(root, 'scripts/layers.mjs'), folder]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const [first, ...faults] = stderr.trim().split('\n')
  expect([status, first]).toEqual(
    faults.length > 0 ? [1, 'node-mlx: the parts are out of order:'] : [0, ''],
  )
  return faults.map((fault) => fault.trim())
}

test('this project is in the order that CONTRIBUTING.md draws', () => {
  expect(checkFolder(root)).toEqual([])
})

test('imports that lead down are allowed, and so are comments', () => {
  expect(check()).toEqual([])
})

test.each([
  ['use crate::high::High;', 'high'],
  ['use crate::{\n    low::Low,\n    high::{self, High},\n};', 'high'],
  ['fn f() { crate::high::f() }', 'high'],
  ['use super::super::high;', 'high'],
  ['#[cfg(test)]\nmod tests {\n    use crate::right::Right;\n}', 'right'],
])('%j in a lower module', (text, part) => {
  expect(check({ 'src/left/deep.rs': text })).toEqual([
    `src/left/deep.rs uses ${part}, which is not drawn below left`,
  ])
})

test.each([
  ["import { one } from '../one'", 'one'],
  ["import type {\n  One,\n} from '../one'", 'one'],
  ["export * from '../one'", 'one'],
  ["import '../one'", 'one'],
  ["const index = await import('../index.js')", 'index'],
  ["const index = require('../index') as typeof import('../index')", 'index'],
])('%j in a lower file', (text, part) => {
  expect(check({ 'lib/hub/alone.ts': text })).toEqual([
    `lib/hub/alone.ts uses ${part}, which is not drawn below hub`,
  ])
})

test('files next to each other', () => {
  expect(check({ 'lib/two.ts': "import { one } from './one'" })).toEqual([
    'lib/two.ts uses one, which is not drawn below two',
  ])
})

test('a circle within a part', () => {
  const files = {
    'lib/hub/fetch.ts': "import { cache } from './cache'",
    'lib/hub/cache.ts': "import type { Hub } from './index'",
  }
  expect(check(files)).toEqual([
    'lib: hub/index.ts → hub/fetch.ts → hub/cache.ts → hub/index.ts is a circle',
  ])
})

test('the order is the one that is drawn', () => {
  const lines = DRAWING.split('\n')
  const swapped = [...lines.slice(0, -2), ...lines.slice(-2).toReversed()].join('\n')
  expect(check({}, swapped)).toEqual([
    'src/left/deep.rs uses low, which is not drawn below left',
    'src/right/mod.rs uses low, which is not drawn below right',
  ])
})

test('a part that is not drawn, and one that is gone', () => {
  expect(check({ 'src/new.rs': '' }, `${DRAWING}\n src/old/`)).toEqual([
    'src/new is not drawn',
    'src/old is drawn, but does not exist',
  ])
})

test('a drawing that is missing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-layers-'))
  folders.push(folder)
  writeFileSync(join(folder, 'CONTRIBUTING.md'), '## The parts\n\nNone.\n')
  const args = [join(root, 'scripts/layers.mjs'), folder]
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect([status, stderr]).toEqual([
    1,
    `node-mlx: ${join(folder, 'CONTRIBUTING.md')} has no drawing under '## The parts'\n`,
  ])
})
