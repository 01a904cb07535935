// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { GenerateOptions, LogitBias } from '../types'

export const HELP = `Usage: node-mlx [options] "prompt"       print one answer
       node-mlx generate [options] [prompt]  the same; without a prompt, reads it from standard input
       node-mlx chat [options]               talk with the model
       node-mlx inspect [options] ID|PATH    print what a model is, and the memory that it needs
       node-mlx pull [options] ID            download a model, and print its folder
       node-mlx ls [--json]                  list what was downloaded: name, size, revisions
       node-mlx rm [--json] ID               delete a downloaded model or adapter

Options:
  -m, --model ID|PATH      a model of the Hugging Face Hub, such as mlx-community/Qwen3-0.6B-4bit, or a folder
      --revision REV       branch, tag or commit of a model of the Hub
      --adapter-path PATH  a LoRA or DoRA adapter for it: a folder, or a name of the Hub
  -s, --system TEXT        instructions for the model
  -n, --max-tokens NUMBER  longest answer, in tokens
      --json               print the answer as a JSON object, with usage and timings; also for inspect, pull, ls and rm
      --verbose            print tokens per second and memory to standard error
      --context NUMBER     inspect: tokens to reckon with; else as many as the model can attend to
  -h, --help               print this
  -v, --version            print the version

Prompt and answer:
      --reasoning on|off|NUMBER       reason before the answer; for so many tokens at most
      --prefill-response TEXT         how the answer begins; what comes after it is printed
      --chat-template-config JSON     variables for the chat template: '{"key": true}'
      --stop TEXT                     ends the answer; may be given several times
      --ignore-eos                    go on after an end-of-sequence token

Choosing tokens (0 turns most of these off):
  -t, --temperature, --temp NUMBER    0 always takes the likeliest token
      --seed NUMBER                   same seed, same answer
      --top-p NUMBER                  keep the likeliest tokens up to this probability
      --top-k NUMBER                  keep this many of the likeliest tokens
      --min-p NUMBER                  keep tokens at least this likely, relative to the likeliest
      --min-tokens-to-keep NUMBER     how many --min-p must leave
      --xtc-probability NUMBER        how often the likeliest tokens are excluded
      --xtc-threshold NUMBER          from which probability on
      --repetition-penalty NUMBER     divides the logits of tokens that have occurred
      --presence-penalty NUMBER       subtracted from the logits of tokens that have occurred
      --frequency-penalty NUMBER      subtracted each time that they have occurred
      --repetition-context-size, --presence-context-size, --frequency-context-size NUMBER
                                      how many of the last tokens count; 0 for all
      --logit-bias JSON               added to logits, by token id: '{"42": -5}'
      --logprobs NUMBER               with --json: log-probabilities, and so many alternatives

Memory:
      --prefill-step-size NUMBER      prompt tokens in one step
      --max-kv-size NUMBER            tokens that the KV cache keeps at most
      --kv-bits NUMBER                quantize the KV cache to so many bits
      --kv-group-size NUMBER          numbers that share a scale
      --quantized-kv-start NUMBER     from how many tokens on

In a chat: Ctrl-C stops the answer, a second one leaves; /reset starts afresh; /quit leaves.`

/** Options of `generate` that are numbers. */
const NUMBERS = [
  'max-tokens',
  'temperature',
  'seed',
  'top-p',
  'top-k',
  'min-p',
  'min-tokens-to-keep',
  'xtc-probability',
  'xtc-threshold',
  'repetition-penalty',
  'repetition-context-size',
  'presence-penalty',
  'presence-context-size',
  'frequency-penalty',
  'frequency-context-size',
  'logprobs',
  'prefill-step-size',
  'max-kv-size',
  'kv-bits',
  'kv-group-size',
  'quantized-kv-start',
]

const SHORT: Readonly<Record<string, string>> = { 'max-tokens': 'n', temperature: 't' }

const OPTIONS = {
  model: { type: 'string', short: 'm' },
  revision: { type: 'string' },
  'adapter-path': { type: 'string' },
  system: { type: 'string', short: 's' },
  temp: { type: 'string' },
  'logit-bias': { type: 'string' },
  'prefill-response': { type: 'string' },
  'chat-template-config': { type: 'string' },
  reasoning: { type: 'string' },
  context: { type: 'string' },
  stop: { type: 'string', multiple: true },
  'ignore-eos': { type: 'boolean' },
  json: { type: 'boolean' },
  verbose: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const satisfies ParseArgsConfig['options']

const COMMANDS = ['chat', 'generate', 'inspect', 'ls', 'pull', 'rm'] as const

/** How an answer is printed. */
export interface Output {
  json: boolean
  verbose: boolean
}

/** What the command line asks for. */
export interface Arguments {
  /** `undefined`: no command was named. */
  command: (typeof COMMANDS)[number] | 'help' | 'version' | undefined
  /** What stands after the command. */
  operands: readonly string[]
  model: string | undefined
  revision: string | undefined
  adapter: string | undefined
  /** Tokens that `inspect` reckons with. */
  context: number | undefined
  system: string | undefined
  /** How the answer begins. */
  prefill: string | undefined
  output: Output
  options: GenerateOptions
}

/** Parses the command line; throws an Error whose message is fit to print. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...OPTIONS, ...numberOptions() },
  })
  const named = COMMANDS.find((command) => command === positionals[0])
  const given: Readonly<Record<string, unknown>> = {
    temperature: values.temp,
    ...values,
  }
  return {
    command: values.help ? 'help' : values.version ? 'version' : named,
    operands: named === undefined ? positionals : positionals.slice(1),
    model: values.model,
    revision: values.revision,
    adapter: values['adapter-path'],
    context: toNumber('--context', values.context),
    system: values.system,
    prefill: values['prefill-response'],
    output: { json: values.json ?? false, verbose: values.verbose ?? false },
    options: {
      ...Object.fromEntries(
        NUMBERS.map((name) => [camelCase(name), toNumber(`--${name}`, given[name])]),
      ),
      logitBias: fromJson('--logit-bias', '{"42": -5}', values['logit-bias']) as LogitBias,
      chatTemplateArgs: fromJson(
        '--chat-template-config',
        '{"key": true}',
        values['chat-template-config'],
      ) as GenerateOptions['chatTemplateArgs'],
      reasoning: toReasoning(values.reasoning),
      stop: values.stop,
      ignoreEos: values['ignore-eos'],
    },
  }
}

function numberOptions(): Record<string, { type: 'string'; short?: string }> {
  return Object.fromEntries(
    NUMBERS.map((name) => [
      name,
      { type: 'string', ...(SHORT[name] !== undefined && { short: SHORT[name] }) },
    ]),
  )
}

function camelCase(name: string): string {
  return name.replaceAll(/-(.)/gu, (_, letter: string) => letter.toUpperCase())
}

function toNumber(name: string, text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  const number = Number(text)
  if (text.trim() === '' || Number.isNaN(number)) {
    throw new Error(`${name}: expected a number, got '${text}'`)
  }
  return number
}

function fromJson(name: string, example: string, text: string | undefined): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new Error(`${name}: expected JSON such as ${example}, got '${text}'`)
  }
}

function toReasoning(text: string | undefined): GenerateOptions['reasoning'] {
  if (text === undefined) return undefined
  if (text === 'on' || text === 'off') return text === 'on'
  const budget = Number(text)
  if (text.trim() !== '' && Number.isInteger(budget)) return { budget }
  throw new Error(`--reasoning: expected on, off or a number of tokens, got '${text}'`)
}
