// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Reporter, TestCase, TestModule } from 'vitest/node'
import { ROWS } from '../faults/rows'

const ROW = /(?:^|> )row (\d+): /gu
const MARKS = { passed: '✓', failed: '✗', skipped: '↓', pending: '…' } as const

type State = keyof typeof MARKS

/** After a run of the whole suite: how the tests of each row of faults went. */
export default class RowsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    if (!modules.some(({ moduleId }) => moduleId.endsWith('/rows.spec.ts'))) return
    const byRow = new Map(Object.keys(ROWS).map((row) => [row, [] as TestCase[]]))
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        for (const [, row = ''] of test.fullName.matchAll(ROW)) byRow.get(row)?.push(test)
      }
    }
    const lines = Object.entries(ROWS).map(([row, name]) => line(row, name, byRow.get(row)))
    const passed = lines.filter(({ state }) => state === 'passed').length
    console.log(`\n Faults: ${passed} of ${lines.length} rows passed`)
    for (const { text } of lines) console.log(text)
  }
}

/** A row is as good as the worst of its tests, but skipped only if all are. */
function line(row: string, name: string, tests: TestCase[] = []): { state: State; text: string } {
  const states = new Set(tests.map((test) => test.result().state))
  const order: State[] = ['failed', 'pending', 'passed', 'skipped']
  const state = order.find((one) => states.has(one)) ?? 'pending'
  const skipped = tests.filter((test) => test.result().state === 'skipped').length
  const count = `${tests.length} ${tests.length === 1 ? 'test' : 'tests'}`
  const note = skipped === 0 ? count : `${count}, ${skipped} skipped`
  return { state, text: ` ${MARKS[state]} ${row.padStart(2)} ${name} (${note})` }
}
