// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { embedderFolder, reranker } from './helpers/embedders'
import { demoModel, root } from './helpers/models'

const folder = join(root, 'examples')
/** Inside the package, so that the programs find it by its name. */
const compiled = join(root, 'target/examples')
const programs = readdirSync(folder).filter(
  (name) => /\.m[jt]s$/u.test(name) && name !== 'search.mts',
)
const node = (...args: string[]) => promisify(execFile)(process.execPath, args)

beforeAll(async () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  await node(tsc, '-p', folder, '--noEmit', 'false', '--outDir', compiled)
})

test.each(programs)('examples/%s runs', async (name) => {
  const isTypeScript = name.endsWith('.mts')
  const program = isTypeScript
    ? join(compiled, `${basename(name, '.mts')}.mjs`)
    : join(folder, name)
  const { stdout } = await node(program, demoModel)
  expect(stdout.length).toBeGreaterThan(5)
})

test('examples/search.mts finds what answers a question', async () => {
  const program = join(compiled, 'search.mjs')
  const { stdout } = await node(program, 'Why does bread rise?', embedderFolder('last'), reranker)
  expect(stdout.match(/^0\.\d+ .*\.$/gmu)).toHaveLength(6)
})
