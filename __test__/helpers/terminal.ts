// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { onTestFinished, vi } from 'vitest'
import { PATIENCE_MS } from './patience'

/** Runs a program in a pseudo terminal, which Python brings along. */
const BRIDGE = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'
const SIZED = ['sh', '-c', 'stty cols 80 rows 24; exec "$@"', 'sh']

export const CTRL_C = '\u0003'
export const CTRL_D = '\u0004'
export const UP = '\u001B[A'
export const DOWN = '\u001B[B'

/** Runs a script in a terminal of 80 columns. A variable that is `undefined` is not set. */
export function openTerminal(
  script: string,
  args: readonly string[],
  env: Record<string, string | undefined> = {},
) {
  const child = spawn('python3', ['-c', BRIDGE, ...SIZED, process.execPath, script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm', NO_COLOR: undefined, ...env },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let screen = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text))
  return {
    // All that it has written is read by then.
    exit: new Promise((resolve) => child.on('close', resolve)),
    type: (keys: string) => child.stdin.write(keys),
    /** What was written so far. */
    text: () => screen,
    /** Waits until the screen shows this, after what was waited for before; returns what came until then. */
    until: async (what: RegExp): Promise<string> => {
      const look = (): RegExpExecArray => {
        const found = what.exec(screen.slice(seen))
        if (found === null)
          throw new Error(`the screen shows ${JSON.stringify(screen.slice(seen))}`)
        return found
      }
      const found = await vi.waitFor(look, { timeout: PATIENCE_MS, interval: 20 })
      const end = seen + found.index + found[0].length
      const text = screen.slice(seen, end)
      seen = end
      return text
    },
  }
}
