// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { text } from 'node:stream/consumers'

/** A pipe without input for this long was left open by the parent process and carries no question. */
const SILENCE_MS = 1000

/** Returns the question on standard input, or `fallback`, if given, when there is no input. */
export async function readQuestion(fallback: string | undefined): Promise<string> {
  const { stdin } = process
  const isSilent = stdin.isTTY || (fallback !== undefined && !(await speaks()))
  const question = isSilent ? '' : (await text(stdin)).trim()
  if (isSilent) stdin.destroy()
  if (question !== '') return question
  if (fallback === undefined) throw new Error('no prompt given (see --help)')
  console.error(`> ${fallback}`)
  return fallback
}

async function speaks(): Promise<boolean> {
  const { stdin } = process
  return new Promise((resolve) => {
    // After a last look: a process that had to wait for the processor meanwhile has not seen what is there.
    const timer = setTimeout(() => setImmediate(() => resolve(false)), SILENCE_MS)
    const settle = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    stdin.once('readable', settle)
    stdin.once('error', () => resolve(false))
  })
}
