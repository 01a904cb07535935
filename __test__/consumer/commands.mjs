// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isWindows, root } from '../../scripts/shared.mjs'
import { findProgram } from './tools.mjs'

const MINUTES = 5
const runFile = promisify(execFile)

/** Variables with which no other program than node is found, and no settings or caches of the user. */
export function bareEnvironment(base) {
  const path = join(base, 'only-node')
  const home = join(base, 'home')
  for (const folder of [path, home]) mkdirSync(folder)
  symlinkSync(process.execPath, join(path, isWindows ? 'node.exe' : 'node'))
  const { TMPDIR } = process.env
  const MODEL = join(root, 'models/demo')
  return { PATH: path, HOME: home, NO_COLOR: '1', MODEL, ...(TMPDIR && { TMPDIR }) }
}

/** Runs a command that begins with a name of findProgram. Returns whether it succeeded, and what it printed. */
export async function execute([name, ...args], { cwd, env }) {
  const options = { cwd, env, timeout: MINUTES * 60_000, maxBuffer: 1e8 }
  const [program, ...first] = findProgram(name)
  try {
    const { stdout, stderr } = await runFile(program, [...first, ...args], options)
    return { succeeded: true, output: stdout + stderr }
  } catch (error) {
    return { succeeded: false, output: `${error.message}\n${error.stdout}` }
  }
}
