// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { parseArgs } from 'node:util'
import type { GenerateOptions } from '../types'

export const HELP = `Usage: node-mlx [options] "prompt"       print one answer
       node-mlx generate [options] [prompt]  the same; without a prompt, reads it from standard input
       node-mlx chat [options]               talk with the model

Options:
  -m, --model PATH         folder of the model
  -s, --system TEXT        instructions for the model
  -t, --temperature NUMBER 0 always takes the likeliest token
  -n, --max-tokens NUMBER  longest answer, in tokens
      --seed NUMBER        same seed, same answer
  -h, --help               print this
  -v, --version            print the version

In a chat: Ctrl-C stops the answer, a second one leaves; /reset starts afresh; /quit leaves.`

/** What the command line asks for. */
export interface Arguments {
  /** `undefined`: no command was named. */
  command: 'chat' | 'generate' | 'help' | 'version' | undefined
  prompt: string
  model: string | undefined
  system: string | undefined
  options: GenerateOptions
}

/** Parses the command line; throws an Error whose message is fit to print. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      model: { type: 'string', short: 'm' },
      system: { type: 'string', short: 's' },
      temperature: { type: 'string', short: 't' },
      'max-tokens': { type: 'string', short: 'n' },
      seed: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' },
    },
  })
  const [first, ...rest] = positionals
  const named = first === 'chat' || first === 'generate' ? first : undefined
  return {
    command: values.help ? 'help' : values.version ? 'version' : named,
    prompt: (named === undefined ? positionals : rest).join(' '),
    model: values.model,
    system: values.system,
    options: {
      temperature: toNumber('--temperature', values.temperature),
      maxTokens: toNumber('--max-tokens', values['max-tokens']),
      seed: toNumber('--seed', values.seed),
    },
  }
}

function toNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (text.trim() === '' || Number.isNaN(number)) {
    throw new Error(`${name}: expected a number, got '${text}'`)
  }
  return number
}
