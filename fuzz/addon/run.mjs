// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Changed files and arguments for the package as it is built: no crash, no internal error, nothing that takes long.
// node fuzz/addon/run.mjs <kind> <cases | seconds s> [first]

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Cases of one process: their memory and threads add up. */
const BATCH = 500
/** Without a new case in that time, it hangs: cases take milliseconds. */
const MAX_SILENCE = 60_000

const [kind, amount, from = '0'] = process.argv.slice(2)
const inSeconds = amount.endsWith('s')
const deadline = inSeconds ? Date.now() + Number(amount.slice(0, -1)) * 1000 : Infinity
const end = inSeconds ? Infinity : Number(from) + Number(amount)
const codes = {}
let faults = 0
let number = Number(from)
while (number < end && Date.now() < deadline)
  number = await batch(number, Math.min(number + BATCH, end))
console.log(`${kind}: ${number - Number(from)} cases from ${from} on, ${faults} faults`, codes)
process.exitCode = faults === 0 ? 0 : 1

/** Runs cases in a process of their own. Returns where to go on. */
async function batch(first, last) {
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-fuzz-'))
  const at = () => {
    try {
      return readFileSync(join(folder, 'at'), 'utf8')
    } catch {
      return String(first)
    }
  }
  const worker = join(import.meta.dirname, 'worker.mjs')
  const args = [kind, first, last, folder, deadline].map(String)
  const child = spawn(process.execPath, [worker, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  let seen = at()
  const watch = setInterval(() => {
    if (at() === seen) child.kill('SIGKILL')
    seen = at()
  }, MAX_SILENCE)
  const [status, signal] = await once(child, 'close')
  clearInterval(watch)
  // Not the last one, which a worker that was killed may have left unfinished.
  for (const line of output.split('\n').slice(0, -1)) {
    const told = JSON.parse(line)
    if (told.codes === undefined) report(told)
    for (const [code, count] of Object.entries(told.codes ?? {}))
      codes[code] = (codes[code] ?? 0) + count
  }
  const where = at()
  rmSync(folder, { recursive: true, force: true })
  const [, next] = /^done (\d+)$/u.exec(where) ?? []
  if (next !== undefined) return Number(next)
  report({ kind, number: Number(where), fault: `ended with ${signal ?? status}` })
  return Number(where) + 1
}

function report(fault) {
  faults += 1
  console.log(JSON.stringify(fault))
}
