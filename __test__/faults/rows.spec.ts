// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../helpers/models'
import { ROWS } from './rows'

const TITLE = /['"`]row (\d+): /gu

const rows = Object.keys(ROWS).map(Number)
const tested = testedRows()

test(`${rows.filter((row) => tested.has(row)).length} of ${rows.length} rows have a test`, () => {
  expect(rows).toEqual(Array.from({ length: 72 }, (_, index) => index + 1))
  expect([...tested].toSorted((a, b) => a - b)).toEqual(rows)
})

/** The rows that titles of tests begin with. */
function testedRows(): Set<number> {
  const folder = join(root, '__test__')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const found = new Set<number>()
  for (const name of files.filter((file) => file.endsWith('.spec.ts'))) {
    const text = readFileSync(join(folder, name), 'utf8')
    for (const [, row] of text.matchAll(TITLE)) found.add(Number(row))
  }
  return found
}
