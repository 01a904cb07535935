// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { root } from './models'

export const NODE = process.execPath
/** The Python that builds and parity tests start with. */
export const PYTHON3 = process.env['PYTHON'] ?? 'python3'

export interface Options {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Whether the command is a line for the system's shell. */
  shell?: boolean
  /** The exit status to expect. Default: 0. */
  status?: number
}

export interface Output {
  stdout: string
  stderr: string
}

/** Runs a program of this repository in its root, and expects its exit status. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { cwd = root, env = {}, shell = false, status: expected = 0 }: Options = {},
): Promise<Output> {
  const child = spawn(command, args, {
    cwd,
    shell,
    env: { ...outerEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const status = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  expect(await status, `${command} ${args.join(' ')}\n${stdout}${stderr}`).toBe(expected)
  return { stdout, stderr }
}

/** Whether a Python has these modules, without loading them. */
export function hasModules(python: string, ...modules: string[]): boolean {
  const program =
    'import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))'
  return spawnSync(python, ['-c', program, ...modules], { stdio: 'ignore' }).status === 0
}

/** Without Vitest's variables, which would reach a Vitest that a program starts. */
function outerEnvironment(): NodeJS.ProcessEnv {
  const isInner = (name: string): boolean => name.startsWith('VITEST') || name === 'NODE_ENV'
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isInner(name)))
}
