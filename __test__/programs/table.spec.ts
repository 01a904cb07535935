// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Everything that can be run is in helpers/commands.ts, with the test that runs it.

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  CARGO_TARGETS,
  DOCUMENTED,
  NOT_OURS,
  NPM_SCRIPTS,
  PROGRAMS,
  ROOTS,
} from '../helpers/commands'
import {
  commandsIn,
  findCargoTargets,
  findDocumentedCommands,
  findNpmScripts,
  findScripts,
  read,
} from '../helpers/find-commands'
import { root } from '../helpers/models'

const TABLE = { ...PROGRAMS, ...NPM_SCRIPTS, ...CARGO_TARGETS, ...DOCUMENTED }
const NONE: Record<'missing' | 'stale', string[]> = { missing: [], stale: [] }
const scripts = findScripts()
const documented = findDocumentedCommands()

describe('the tables have every', () => {
  test('program', () => {
    const programs = scripts.programs.filter((program) => !ROOTS.includes(program))
    expect(difference(PROGRAMS, programs)).toEqual(NONE)
  })

  test('npm script, with the program that it starts', () => {
    const found = findNpmScripts()
    expect(difference(NPM_SCRIPTS, [...found.keys()])).toEqual(NONE)
    for (const [name, row] of Object.entries(NPM_SCRIPTS))
      if (Object.hasOwn(PROGRAMS, row)) expect(found.get(name)).toContain(row)
  })

  test('cargo target', () => {
    expect(difference(CARGO_TARGETS, findCargoTargets())).toEqual(NONE)
  })

  test('command that a document names', () => {
    const rows = { ...DOCUMENTED, ...NOT_OURS }
    const others = [...documented.keys()].filter((command) => !Object.hasOwn(NPM_SCRIPTS, command))
    expect(difference(rows, others)).toEqual(NONE)
  })
})

test.each(Object.entries(TABLE))('%s is run by %s', (name) => {
  expect(problem(name)).toBeUndefined()
})

test.each([...scripts.modules])('%s is a module of %s', (module) => {
  expect(isUsed(module)).toBe(true)
})

describe('what finds them', () => {
  test('reads the code of Markdown, and nothing else', () => {
    const markdown = [
      'Use npm run prose, or `npm run inline -- --flag`, or `npm run',
      'two-lines`; `npm` alone is none.',
      '```sh',
      'cd folder && node a.mjs   # a comment',
      'ENV=1 python b.py \\',
      '  --long',
      '```',
      '```js run',
      'npm run not-a-command',
      '```',
      '    $ cargo indented',
    ]
    expect(commandsIn(markdown.join('\n')).toSorted()).toEqual([
      'ENV=1 python b.py --long',
      'cargo indented',
      'node a.mjs',
      'npm run inline -- --flag',
      'npm run two-lines',
    ])
  })

  test('tells programs from modules', () => {
    expect(scripts.programs).toContain('tools/parity/run.py')
    expect(scripts.programs).toContain('scripts/check.mjs')
    expect(scripts.modules.get('tools/parity/table.py')).toEqual(['tools/parity/run.py'])
    expect(scripts.modules.get('scripts/build-steps.mjs')).toContain('scripts/prepare.mjs')
  })

  test('notices rows that run nothing', () => {
    expect(problem('missing')).toBe('missing has no row')
    expect(problem('a', { a: 'b', b: 'a' })).toBe('a, b, a: nothing runs them')
    const cli = '__test__/cli.spec.ts >'
    expect(problem('a', { a: `${cli} answers a question` })).toBeUndefined()
    expect(problem('a', { a: `${cli} answers a quest…` })).toBeUndefined()
    expect(problem('a', { a: `${cli} answers a quest` })).toMatch(/has no test of that title/u)
    expect(problem('a', { a: '.ci/run > npm run no-such' })).toMatch(/does not contain/u)
    expect(problem('a', { a: 'CONTRIBUTING.md > npm test' })).toBe('CONTRIBUTING.md has no row')
    expect(problem('a', { a: 'no/such/file > npm test' })).toMatch(/does not exist/u)
  })
})

/** What has no row, and rows of what is no longer there. */
function difference(rows: Record<string, string>, found: string[]): typeof NONE {
  return {
    missing: found.filter((name) => !Object.hasOwn(rows, name)),
    stale: Object.keys(rows).filter((name) => !found.includes(name)),
  }
}

/** Why a row of the tables does not lead to a test or to CI; undefined if it does. */
function problem(name: string, table: Record<string, string> = TABLE): string | undefined {
  const path: string[] = []
  for (let at = name; !ROOTS.includes(at) && !at.endsWith('.spec.ts');) {
    if (path.includes(at)) return `${[...path, at].join(', ')}: nothing runs them`
    path.push(at)
    const row = Object.hasOwn(table, at) ? table[at] : moduleRow(at)
    if (row === undefined) return `${at} has no row`
    const [, file, text] = /^(.+?) > (.+)$/u.exec(row) ?? [undefined, row]
    if (text !== undefined) {
      const missing = missingText(file, text)
      if (missing !== undefined) return missing
    }
    at = file
  }
  return undefined
}

/** A module is run by what imports it. */
function moduleRow(name: string): string | undefined {
  const importers = scripts.modules.get(name) ?? []
  return importers.find((file) => file.endsWith('.spec.ts')) ?? importers[0]
}

/** Why a file, or a folder's files, do not run what a row says. */
function missingText(file: string, text: string): string | undefined {
  const stats = statSync(join(root, file), { throwIfNoEntry: false })
  if (stats === undefined) return `${file} does not exist`
  const files = stats.isDirectory()
    ? readdirSync(join(root, file)).map((name) => join(file, name))
    : [file]
  const content = files.map(read).join('\n')
  if (!file.endsWith('.spec.ts'))
    return content.includes(text) ? undefined : `${file} does not contain ${text}`
  // A title that ends with … is cut there.
  const start = text.replace(/…$/u, '')
  const titles = content.matchAll(/\(\s*(?:'(.+)'|`(.+)`|"(.+)"),/gu)
  const isTitle = (title: string): boolean =>
    start === text ? title === text : title.startsWith(start)
  return [...titles].some(([, ...quoted]) => isTitle(quoted.find(Boolean) ?? ''))
    ? undefined
    : `${file} has no test of that title: ${text}`
}

/** Whether a program or a spec imports a module, directly or not. */
function isUsed(module: string, seen: string[] = []): boolean {
  const importers = (scripts.modules.get(module) ?? []).filter((file) => !seen.includes(file))
  return importers.some((file) => !scripts.modules.has(file) || isUsed(file, [...seen, module]))
}
