// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run soak`: long use in minutes. Each scenario runs in a process of its own and reports figures, each with
// the bound that it must keep; exit code 1 if one does not.
//
// usage: npm run soak -- [--generations 10000] [--cycles 200] [--aborts 1000] [--runs 1000] [--sleep 10]
//                        [--exits 200] [--workers 100]
// A scenario that is given 0 is left out. Fewer than a hundred tell nothing, and memory settles after some hundreds, so
// that it may seem to leak before. Threads and descriptors are counted on Linux only.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepare } from '../../scripts/prepare.mjs'
import { bin, Failure, script } from '../../scripts/shared.mjs'

// V8's optimizing compiler takes megabytes when it first comes up, whenever that is.
const FLAGS = { generations: ['--no-opt'], cycles: ['--no-opt'], aborts: ['--no-opt'] }
const SIZES = {
  generations: 10_000,
  cycles: 200,
  aborts: 1000,
  runs: 1000,
  sleep: 10,
  exits: 200,
  workers: 100,
}
// Tests of `npm test`, with more of everything.
const TESTS = { exits: 'row 46', workers: 'row 47' }

await script(() => {
  const options = Object.fromEntries(
    Object.entries(SIZES).map(([name, size]) => [name, { type: 'string', default: `${size}` }]),
  )
  const { values } = parseArgs({ options })
  prepare()
  const wanted = Object.keys(SIZES).filter((name) => values[name] !== '0')
  const broken = wanted.flatMap((name) => (name in TESTS ? test : soak)(name, values[name]))
  if (broken.length > 0) throw new Failure(`out of bounds: ${broken.join('; ')}`)
})

/** Runs a scenario, prints its figures, and gives the names of those that are out of bounds. */
function soak(name, size) {
  console.log(`\n${name} ${size}`)
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--expose-gc', ...(FLAGS[name] ?? []), join(import.meta.dirname, 'scenarios.mjs'), name, size],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  )
  if (status !== 0) return [`${name} ended with ${status}`]
  const figures = JSON.parse(stdout)
  for (const { what, value, unit, bound } of figures) {
    // NaN arrives as null.
    const shown = value === null ? 'unknown' : `${Number(value.toPrecision(4))} ${unit}`
    const limit = bound === undefined ? '' : `   at most ${bound}`
    console.log(`  ${what.padEnd(42)} ${shown.padStart(16)}${limit}`)
  }
  const isBroken = ({ value, bound }) => bound !== undefined && (value === null || value > bound)
  return figures.filter(isBroken).map(({ what }) => `${name}: ${what}`)
}

/** Runs a test so many times over, and gives its name if it fails. */
function test(name, size) {
  console.log(`\n${name} ${size}`)
  const { status } = spawnSync(
    bin('vitest'),
    ['run', '__test__/faults/exit.spec.ts', '--testNamePattern', TESTS[name]],
    { env: { ...process.env, [`TEST_${name.toUpperCase()}`]: size }, stdio: 'inherit' },
  )
  return status === 0 ? [] : [name]
}
