// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What documents list is what there is: model types, error codes, files.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadModel } from '../lib'
import { makeModel, root } from './helpers/models'

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** The cells of a column of the table with this header, in the first of the documents that has it. */
function column(documents: string[], header: string): string[] {
  const files = documents.filter((file) => existsSync(join(root, file)))
  for (const lines of files.map((file) => read(file).split('\n'))) {
    const cells = (line: string) => line.split('|').map((cell) => cell.trim())
    const head = lines.findIndex((line) => line.startsWith('|') && cells(line).includes(header))
    if (head !== -1) {
      const index = cells(lines[head] ?? '').indexOf(header)
      const rows = lines.slice(head + 2)
      const end = rows.findIndex((line) => !line.startsWith('|'))
      return rows.slice(0, end).map((line) => cells(line)[index] ?? '')
    }
  }
  throw new Error(`no table with '${header}' in ${documents.join(' or ')}`)
}

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), (match) => match[1] ?? '')
}

function sortedSet(names: string[]): string[] {
  return [...new Set(names)].toSorted()
}

test("README's table of models lists each model type of the registry once", async () => {
  const folder = makeModel({ config: { model_type: 'unknown' } })
  const error: unknown = await loadModel(folder).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'ERR_MODEL_UNSUPPORTED' })
  const { supported } = (error as { details: { supported: string[] } }).details

  // "`x` (as `y`)" lists x.
  const listed = column(['README.md'], 'model_type in config.json').flatMap((cell) =>
    matches(cell, /(?<!\bas )`(\w+)`/gu),
  )
  expect(listed.toSorted()).toEqual(supported.toSorted())
})

test('the table of error codes lists those of error.rs and of lib', () => {
  const documented = column(['docs/errors.md', 'README.md'], 'code').flatMap((cell) =>
    matches(cell, /`(\w+)`/gu),
  )
  expect(documented.length, 'a code is listed twice').toBe(new Set(documented).size)

  const declaration = /type ErrorCode =\n((?: {2}\| '\w+'\n)+)/u.exec(read('lib/errors.ts'))?.[1]
  expect(sortedSet(documented)).toEqual(sortedSet(matches(declaration ?? '', /'(\w+)'/gu)))

  const lib = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(`lib/${name}`).replace(declaration ?? '', ''))
  const ofLib = lib.flatMap((text) => matches(text, /'(ERR_\w*[A-Z]|ABORT_ERR)'/gu))
  const ofRust = matches(read('src/error.rs'), /"(ERR_\w+|ABORT_ERR)"/gu)
  expect(sortedSet([...ofLib, ...ofRust])).toEqual(sortedSet(documented))
})

test('docs/adding-a-model.md names files that exist', () => {
  const text = read('docs/adding-a-model.md')
  const links = matches(text, /\]\(([^)#]+)/gu).map((link) => join('docs', link))
  const words = text.replaceAll(/\]\([^)]*\)/gu, '').match(/[^\s`()|,;:]+/gu) ?? []
  const folders = /^(?:docs|examples|fuzz|lib|models|scripts|src|tools|__test__)\//u
  // What holds <model_type> is a template; a * is for what the oracle installs.
  const named = words.filter(
    (word) =>
      (folders.test(word) || /\.(?:md|m?[jt]s|py|rs|toml)$/u.test(word)) && !/[<*]/u.test(word),
  )
  const paths = [...links, ...named.map((word) => word.replace(/\.$/u, ''))]
  const missing = paths.filter((path) => !existsSync(join(root, path)))
  expect(paths).toContain('src/models/registry.rs')
  expect(missing).toEqual([])
})
