// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Failure, root } from '../../scripts/shared.mjs'
import { median } from './median.mjs'

const here = import.meta.dirname
const demo = join(root, 'models/demo')
const QUESTION = 'What is the capital of France?'

/** Seconds from the start of node-mlx's process to the first word of an answer, and of mlx-lm's: medians of so many. */
export async function coldStarts(python, starts) {
  const ours = []
  const theirs = []
  for (let index = 0; index < starts; index += 1) {
    ours.push(await firstWord(process.execPath, [join(here, 'cold.mjs'), demo, QUESTION]))
    theirs.push(await firstWord(python, [join(here, 'cold.py'), demo, QUESTION]))
  }
  return [median(ours), median(theirs)]
}

/** Seconds from the start of a process to its first output. */
async function firstWord(command, args) {
  const start = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), ended])
  const seconds = (performance.now() - start) / 1000
  const [status] = await ended
  if (status !== 0) throw new Failure(`${command} ${args.join(' ')} failed`)
  return seconds
}
