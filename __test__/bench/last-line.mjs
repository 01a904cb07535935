// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process'
import { Failure } from '../../scripts/shared.mjs'

/** The last line that a program prints. */
export function lastLine(command, args) {
  const stdio = ['ignore', 'pipe', 'inherit']
  const { stdout, status } = spawnSync(command, args, { encoding: 'utf8', stdio })
  if (status !== 0) throw new Failure(`${command} ${args.join(' ')} failed`)
  return stdout.trim().split('\n').at(-1)
}
