// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Generation } from '../generation'
import type { GenerationResult } from '../types'
import type { Output } from './args'
import { CLEAR_LINE, dim, isScreen, printable } from './style'

/** Prints an answer to standard output, and its speed to standard error if that is a terminal or `--verbose` is set. */
export async function writeAnswer(generation: Generation, output: Output): Promise<void> {
  if (output.json) console.log(JSON.stringify(await generation))
  else await stream(generation)
  const result = await generation
  if (output.verbose) console.error(statistics(result))
  else if (process.stderr.isTTY && !output.json) {
    console.error(dim(describe(result), process.stderr))
  }
}

/** Prints an answer as it arrives: reasoning only on a terminal, and each tool call as a line of JSON. */
async function stream(generation: Generation): Promise<void> {
  const { stdout } = process
  let last = ''
  let reasoning = false
  const endLine = (): void => {
    if (last !== '' && !last.endsWith('\n')) stdout.write('\n')
    last = ''
  }
  const print = (given: string, isReasoning = false): void => {
    const text = stdout.isTTY ? printable(given) : given
    if (text === '') return
    if (reasoning !== isReasoning) endLine()
    if (reasoning && !isReasoning) stdout.write('\n')
    stdout.write(isReasoning ? dim(text, stdout) : text)
    last = text
    reasoning = isReasoning
  }
  try {
    for await (const chunk of generation) {
      if (chunk.type === 'tool-call') {
        endLine()
        print(`${JSON.stringify(chunk.toolCall)}\n`)
      } else if (chunk.type !== 'reasoning') print(chunk.text)
      else if (stdout.isTTY) print(chunk.text, true)
    }
  } finally {
    endLine()
  }
}

/** Prints an error as one line. */
export function printError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  // Text from others, such as a chat template, must not reach the terminal as control sequences.
  const line = message.replaceAll(/\s*\n\s*/gu, ' ').replaceAll(/\p{Cc}/gu, '')
  console.error(`${isScreen(process.stderr) ? CLEAR_LINE : ''}node-mlx: ${line}`)
}

function describe({ usage, timings }: GenerationResult): string {
  const speed = timings.generationTokensPerSecond.toFixed(1)
  return `${usage.completionTokens} tokens, ${speed} tokens/s`
}

/** Formats the statistics that `mlx_lm.generate` prints. */
function statistics({ usage, timings, peakMemory }: GenerationResult): string {
  const prompt = timings.promptTokensPerSecond.toFixed(3)
  const generation = timings.generationTokensPerSecond.toFixed(3)
  return [
    `Prompt: ${usage.promptTokens} tokens, ${prompt} tokens-per-sec`,
    `Generation: ${usage.completionTokens} tokens, ${generation} tokens-per-sec`,
    `Peak memory: ${(peakMemory / 1e9).toFixed(3)} GB`,
  ].join('\n')
}
