// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Generation } from '../generation'
import type { GenerationResult } from '../types'

/** Streams an answer to standard output, and its speed to standard error if somebody watches that. */
export async function writeAnswer(generation: Generation): Promise<void> {
  let last = ''
  try {
    for await (const chunk of generation) {
      process.stdout.write(chunk.text)
      if (chunk.text !== '') last = chunk.text
    }
  } finally {
    if (last !== '' && !last.endsWith('\n')) process.stdout.write('\n')
  }
  if (process.stderr.isTTY) console.error(dim(describe(await generation)))
}

/** Prints an error as one line. */
export function printError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  console.error(`node-mlx: ${message.replaceAll(/\s*\n\s*/gu, ' ')}`)
}

function describe({ usage, timings }: GenerationResult): string {
  const speed = timings.generationTokensPerSecond.toFixed(1)
  return `${usage.completionTokens} tokens, ${speed} tokens/s`
}

function dim(text: string): string {
  return `\u001B[2m${text}\u001B[22m`
}
