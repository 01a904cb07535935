// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Generation } from '../generation'
import type { GenerationResult } from '../types'
import type { Output } from './args'

/** Prints an answer to standard output, and its speed to standard error if somebody wants to know. */
export async function writeAnswer(generation: Generation, output: Output): Promise<void> {
  if (output.json) console.log(JSON.stringify(await generation))
  else await stream(generation)
  const result = await generation
  if (output.verbose) console.error(statistics(result))
  else if (process.stderr.isTTY && !output.json) console.error(dim(describe(result)))
}

async function stream(generation: Generation): Promise<void> {
  let last = ''
  try {
    for await (const chunk of generation) {
      process.stdout.write(chunk.text)
      if (chunk.text !== '') last = chunk.text
    }
  } finally {
    if (last !== '' && !last.endsWith('\n')) process.stdout.write('\n')
  }
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

/** What `mlx_lm.generate` tells. */
function statistics({ usage, timings, peakMemory }: GenerationResult): string {
  const prompt = timings.promptTokensPerSecond.toFixed(3)
  const generation = timings.generationTokensPerSecond.toFixed(3)
  return [
    `Prompt: ${usage.promptTokens} tokens, ${prompt} tokens-per-sec`,
    `Generation: ${usage.completionTokens} tokens, ${generation} tokens-per-sec`,
    `Peak memory: ${(peakMemory / 1e9).toFixed(3)} GB`,
  ].join('\n')
}

function dim(text: string): string {
  return `\u001B[2m${text}\u001B[22m`
}
