// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What documents list is what there is: model types, error codes, files, figures.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { inspectModel } from 'node-mlx'
import { expect, test } from 'vitest'
import { loadModel } from '../lib'
import { makeModel, root } from './helpers/models'
import { documents } from './helpers/snippets'
import { makeSparseModel } from './helpers/sparse-model'

/** The first lines of README, which one sees without scrolling. */
const SCREEN = 50
/** What a model and the system may take of a machine's memory, for docs/guide/choosing-a-model.md. */
const SHARE = 2 / 3
const MACHINES = [8, 16, 24, 32, 64]
const CONTEXT = 8192
/** What `npm run docs` makes. */
const UNCHECKED = new Set(['docs/reference/index.md'])

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

/** The rows of the table with this header. */
function table(document: string, header: string): Record<string, string>[] {
  const lines = read(document).split('\n')
  const cells = (line = '') => line.split('|').map((cell) => cell.trim())
  const head = lines.findIndex((line) => line.startsWith('|') && cells(line).includes(header))
  if (head === -1) throw new Error(`no table with '${header}' in ${document}`)
  const names = cells(lines[head])
  const rows = lines.slice(head + 2)
  const end = rows.findIndex((line) => !line.startsWith('|'))
  return rows
    .slice(0, end === -1 ? undefined : end)
    .map((row) => Object.fromEntries(cells(row).map((cell, index) => [names[index] ?? '', cell])))
}

/** The cells of a column of the table with this header. */
function column(document: string, header: string): string[] {
  return table(document, header).map((row) => row[header] ?? '')
}

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), (match) => match[1] ?? '')
}

function sortedSet(names: string[]): string[] {
  return [...new Set(names)].toSorted()
}

test("the guide's table of models lists each model type of the registry once", async () => {
  const folder = makeModel({ config: { model_type: 'unknown' } })
  const error: unknown = await loadModel(folder).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'ERR_MODEL_UNSUPPORTED' })
  const { supported } = (error as { details: { supported: string[] } }).details

  // "`x` (as `y`)" lists x.
  const listed = column('docs/guide/models.md', 'model_type in config.json').flatMap((cell) =>
    matches(cell, /(?<!\bas )`(\w+)`/gu),
  )
  expect(listed.toSorted()).toEqual(supported.toSorted())
})

test('the table of error codes lists those of error.rs and of lib', () => {
  const documented = column('docs/errors.md', 'code').flatMap((cell) => matches(cell, /`(\w+)`/gu))
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

test('README has at most 150 lines, and begins with install, code and platforms', () => {
  const lines = read('README.md').trimEnd().split('\n')
  expect(lines.length).toBeLessThanOrEqual(150)
  const screen = lines.slice(0, SCREEN).join('\n')
  const wanted = ['npm install node-mlx', "import { loadModel } from 'node-mlx'", '| platform']
  expect(wanted.filter((text) => !screen.includes(text))).toEqual([])
})

test("README's table of speed has figures of docs/benchmarks.md", () => {
  const measured = read('docs/benchmarks.md')
  const rows = table('README.md', 'compared with')
  expect(rows.length).toBeGreaterThan(2)
  for (const { prompt = '', generation = '' } of rows) {
    const row = new RegExp(
      `^\\|[^|]*\\| ${literally(prompt)} +\\| ${literally(generation)} +\\|`,
      'mu',
    )
    expect(measured).toMatch(row)
  }
})

test('links lead to files and headings that exist', () => {
  const broken = [...documents(), 'CONTRIBUTING.md', 'SECURITY.md'].flatMap((document) =>
    matches(withoutCode(read(document)), /\]\(([^)\s]+)\)/gu)
      .filter((link) => !/^[a-z]+:/u.test(link) && !leadsSomewhere(document, link))
      .map((link) => `${document}: ${link}`),
  )
  expect(broken).toEqual([])
})

test('what models need, as computed for the guide, follows from its formulas', async () => {
  const rows = table('docs/guide/choosing-a-model.md', 'parameters, billions')
  expect(rows.length).toBeGreaterThan(10)
  for (const row of rows) {
    const weights = (Number(row['parameters, billions']) * Number(row['bits'])) / 8
    const [heads = 0, size = 0] = numbers(row['KV heads × size'])
    const [full = 0, windowed = 0, window = 0] = numbers(row['layers, + those with a window'])
    const cache = cacheBytes(2, heads * size, full * CONTEXT + windowed * window) / 1e9
    const machine = MACHINES.find((memory) => weights + cache <= memory * SHARE)
    expect(row).toMatchObject({
      weights: `${weights.toFixed(1)} GB`,
      cache: `${cache.toFixed(1)} GB`,
      both: `${(weights + cache).toFixed(1)} GB`,
      machine: `${machine} GB`,
    })
  }

  const machineOf = new Map(rows.map(({ model = '', machine = '' }) => [model, machine]))
  for (const { memory, models = '' } of table('docs/guide/choosing-a-model.md', 'memory'))
    for (const model of matches(models, /(`[^`]+`)/gu)) {
      const [[needed = Infinity], [given = 0]] = [numbers(machineOf.get(model)), numbers(memory)]
      expect(needed, model).toBeLessThanOrEqual(given)
    }

  // 80 layers, 8 heads of 128, in bf16; caches on the CPU are f32.
  const model = makeSparseModel()
  const inspected = await inspectModel(model, { context: CONTEXT, device: 'cpu' })
  expect(inspected.memory.cache).toBe(cacheBytes(4, 8 * 128, 80 * CONTEXT))
  expect(inspected.memory.weights / (inspected.parameterCount * 2)).toBeCloseTo(1, 3)
})

/** 2 × layers × KV heads × head size × bytes per number × tokens. */
function cacheBytes(bytes: number, width: number, tokens: number): number {
  return 2 * bytes * width * tokens
}

function numbers(text = ''): number[] {
  return (text.match(/\d+/gu) ?? []).map(Number)
}

function literally(text: string): string {
  return text.replaceAll(/[().]/gu, String.raw`\$&`)
}

function leadsSomewhere(document: string, link: string): boolean {
  const [path = '', fragment] = link.split('#')
  const file = path === '' ? document : join(dirname(document), path)
  if (UNCHECKED.has(file)) return true
  if (!existsSync(join(root, file))) return false
  return fragment === undefined || headings(read(file)).includes(fragment)
}

/** The anchors that GitHub and VitePress give to headings. */
function headings(markdown: string): string[] {
  return matches(withoutCode(markdown), /^#+ (.+)$/gmu).map((title) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/gu, '-'),
  )
}

function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```/gmu, '').replaceAll(/`[^`\n]+`/gu, '')
}
