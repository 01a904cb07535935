// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepare } from '../../scripts/prepare.mjs'
import { bin, Failure, script } from '../../scripts/shared.mjs'

// V8's optimizing compiler takes megabytes when it first comes up, whenever that is.
const FLAGS = Object.fromEntries(
  ['generations', 'cycles', 'aborts', 'requests'].map((name) => [name, ['--no-opt']]),
)
const SIZES = {
  generations: 10_000,
  cycles: 200,
  aborts: 1000,
  requests: 2000,
  runs: 1000,
  sleep: 3,
  exits: 200,
  workers: 100,
}
const QUICK_SIZES = {
  generations: 200,
  cycles: 20,
  aborts: 80,
  requests: 80,
  runs: 50,
  sleep: 0.1,
  exits: 1,
  workers: 1,
}
const USAGE = `Usage: npm run soak -- [options]

Long use in minutes. Each scenario runs in a process of its own and reports figures, each with the bound that it must
keep; exit code 1 if one does not.

${Object.entries(SIZES)
  .map(([name, size]) => `  --${name} <number>`.padEnd(25) + `default: ${size}`)
  .join('\n')}
  --quick                small sizes, and only what must be 0 is checked
  --help                 print this

A scenario that is given 0 is left out. Fewer than a hundred tell nothing, and memory settles after some hundreds, so
that it may seem to leak before. Threads and descriptors are counted on Linux only.`
// Tests of `npm test`, with more of everything.
const TESTS = { exits: 'row 46', workers: 'row 47' }

let quick = false

await script(() => {
  const values = readArguments()
  if (values.help) {
    console.log(USAGE)
    return
  }
  quick = values.quick
  prepare()
  const sizes = { ...(quick ? QUICK_SIZES : SIZES), ...values }
  const wanted = Object.keys(SIZES).filter((name) => Number(sizes[name]) !== 0)
  const broken = wanted.flatMap((name) => (name in TESTS ? test : soak)(name, `${sizes[name]}`))
  if (broken.length > 0) throw new Failure(`out of bounds: ${broken.join('; ')}`)
})

function readArguments() {
  const flag = { type: 'boolean', default: false }
  const sizes = Object.fromEntries(Object.keys(SIZES).map((name) => [name, { type: 'string' }]))
  let values
  try {
    values = parseArgs({ options: { ...sizes, quick: flag, help: flag } }).values
  } catch (error) {
    throw new Failure(error.message)
  }
  const wrong = Object.keys(SIZES).find((name) => !(Number(values[name] ?? 0) >= 0))
  if (wrong !== undefined) throw new Failure(`--${wrong} must be a number`)
  return values
}

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
    const limit = bound === undefined || (quick && bound !== 0) ? '' : `   at most ${bound}`
    console.log(`  ${what.padEnd(42)} ${shown.padStart(16)}${limit}`)
  }
  const isChecked = ({ bound }) => (quick ? bound === 0 : bound !== undefined)
  const isBroken = (figure) =>
    isChecked(figure) && (figure.value === null || figure.value > figure.bound)
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
