// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs cases of one kind: node worker.mjs <kind> <first> <end> <folder> <until, in ms>. Prints each fault as a line of JSON, and writes the
// number of each case to the file `at` before it begins, for who has to say which one ended this process.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as library from '../../dist/index.mjs'
import { OfCallback } from './arguments.mjs'
import { KINDS } from './kinds.mjs'
import { Random } from './mutate.mjs'

/** What a case may take: seconds of the processor, and bytes over those at the start. */
const MAX_SECONDS = 2
const MAX_GROWTH = 500 * 2 ** 20

const [kind, first, end, folder, until] = process.argv.slice(2)
const codes = {}
let faults = []

/** Calls something; errors must be ours, and not internal ones, or come from a callback. Returns `undefined` for an error. */
async function attempt(work) {
  try {
    const value = await work()
    codes.ok = (codes.ok ?? 0) + 1
    return value
  } catch (error) {
    const code = error?.name === 'AbortError' ? 'ABORT_ERR' : error?.code
    const known =
      error instanceof library.NodeMlxError ||
      error instanceof OfCallback ||
      ['AbortError', 'TimeoutError'].includes(error?.name)
    codes[code] = (codes[code] ?? 0) + 1
    if (!known || code === 'ERR_INTERNAL')
      faults.push(`${error?.name} ${code}: ${String(error?.message).slice(0, 300)}`)
  }
}

process.on('unhandledRejection', (error) => faults.push(`unhandled: ${error}`))
const run = await KINDS[kind]({ ...library, attempt }, folder)
const start = process.memoryUsage.rss()
let number = Number(first)
for (; number < Number(end) && Date.now() < Number(until); number += 1) {
  writeFileSync(join(folder, 'at'), String(number))
  faults = []
  const before = process.cpuUsage()
  const began = performance.now()
  await run(new Random(number))
  const { user, system } = process.cpuUsage(before)
  const seconds = (user + system) / 1e6
  if (seconds > MAX_SECONDS)
    faults.push(
      `took ${seconds.toFixed(1)} s of the processor, ${Math.round(performance.now() - began)} ms in all`,
    )
  const growth = process.memoryUsage.rss() - start
  if (growth > MAX_GROWTH) faults.push(`took ${Math.round(growth / 2 ** 20)} MB`)
  for (const fault of faults) console.log(JSON.stringify({ kind, number, fault }))
}
console.log(JSON.stringify({ codes }))
writeFileSync(join(folder, 'at'), `done ${number}`)
process.exit(0)
