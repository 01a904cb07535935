// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { text } from 'node:stream/consumers'

/** A pipe that stays silent this long is an open end left by a program, not a question. */
const SILENCE_MS = 1000

/** The question on standard input; `fallback`, if there is one, where nothing comes. */
export async function readQuestion(fallback: string | undefined): Promise<string> {
  const { stdin } = process
  const isSilent = stdin.isTTY || (fallback !== undefined && !(await speaks()))
  const question = isSilent ? '' : (await text(stdin)).trim()
  if (isSilent) stdin.destroy()
  if (question !== '') return question
  if (fallback === undefined) throw new Error('give a prompt (see --help)')
  console.error(`> ${fallback}`)
  return fallback
}

async function speaks(): Promise<boolean> {
  const { stdin } = process
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), SILENCE_MS)
    const settle = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    stdin.once('readable', settle)
    stdin.once('error', () => resolve(false))
  })
}
