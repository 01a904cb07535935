// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Failure } from '../../scripts/shared.mjs'

/** Seconds from the start of a process to its first output. */
export async function firstWord(command, args) {
  const start = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), ended])
  const seconds = (performance.now() - start) / 1000
  const [status] = await ended
  if (status !== 0) throw new Failure(`${command} ${args.join(' ')} failed`)
  return seconds
}
