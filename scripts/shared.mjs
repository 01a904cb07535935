// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export const isWindows = process.platform === 'win32'
export const root = join(import.meta.dirname, '..')
export const targetDir = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
export const python = process.env.PYTHON ?? (isWindows ? 'python' : 'python3')
/** npm's own program on Windows, where it is installed beside Node. */
export const windowsNpm = join(dirname(process.execPath), 'node_modules/npm/bin/npm-cli.js')

/** An error that is one line for the reader and no bug of ours. */
export class Failure extends Error {}

/** Runs a program; what it prints goes to our standard error, which leaves standard output to answers. */
export function run(command, args, { cwd = root, env = process.env, output = 2 } = {}) {
  const { status, signal, error } = spawnSync(...startable(command, args), {
    cwd,
    env,
    stdio: ['ignore', output, 2],
  })
  if (error) throw new Failure(`${command}: ${error.message}`)
  checkExit(command, args, status, signal)
}

/** On Windows npm, and what packages bring along, are batch files, which Node does not start. */
function startable(command, args) {
  if (isWindows && command === 'npm') return [process.execPath, [windowsNpm, ...args]]
  if (isWindows && basename(dirname(command)) === '.bin')
    return [process.execPath, [windowsNpm, 'exec', '--', basename(command), ...args]]
  return [command, args]
}

/** Runs programs side by side, and waits for all of them. */
export async function runAll(commands) {
  const ends = commands.map(async ([command, args]) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    const [status, signal] = await once(child, 'exit')
    checkExit(command, args, status, signal)
  })
  const failed = (await Promise.allSettled(ends)).find(({ status }) => status === 'rejected')
  if (failed) throw failed.reason
}

function checkExit(command, args, status, signal) {
  if (status !== 0)
    throw new Failure(`${[command, ...args].join(' ')} failed (${signal ?? status})`)
}

/** A folder's package.json. */
export function readJson(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/** A program that one of our packages brings along. */
export function bin(name) {
  return join(root, 'node_modules/.bin', name)
}

/** Runs the script's main part; a Failure is one line and exit code 1. */
export async function script(main) {
  try {
    await main()
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(`node-mlx: ${error.message}`)
    process.exitCode = 1
  }
}
