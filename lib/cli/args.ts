// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { parseArgs, type ParseArgsConfig } from 'node:util'
import type { GenerateOptions, LogitBias } from '../types'

export const HELP = `Usage: node-mlx [options] "prompt"       print one answer
       node-mlx generate [options] [prompt]  the same; without a prompt, reads it from standard input
       node-mlx chat [options]               chat with the model
       node-mlx serve [options] ID|PATH …    answer requests to OpenAI's API, as a server on this machine
       node-mlx inspect [options] ID|PATH    print a model's properties and memory needs
       node-mlx pull [options] ID            download a model and print its folder
       node-mlx ls [--json]                  list downloaded models: name, size, revisions
       node-mlx rm [--json] ID               delete a downloaded model or adapter
       node-mlx cuda [install]               say whether an NVIDIA GPU is used; download NVIDIA's libraries
       node-mlx doctor [--json]              check that node-mlx works on this machine; prints a report
       node-mlx bench [options] ID|PATH      measure a model's speed, also mlx-lm's where Python has it

Options:
  -m, --model ID|PATH      a model on the Hugging Face Hub, such as mlx-community/Qwen3-0.6B-4bit, or a folder;
                           a chat in a terminal offers some that fit into memory if this is missing
      --revision REV       branch, tag or commit of a model on the Hub
      --adapter-path PATH  LoRA or DoRA adapter: a folder, or owner/name on the Hub
  -s, --system TEXT        system message
  -n, --max-tokens NUMBER  maximum number of tokens to generate
      --json               print the answer as a JSON object, with usage and timings; also for inspect, pull, ls, rm,
                           doctor and bench
      --verbose            print tokens per second and peak memory to standard error
      --host ADDRESS       serve: the address to listen at (default: 127.0.0.1); one that other machines can reach needs a
                           key, which clients must have, in the environment variable NODE_MLX_API_KEY
      --port NUMBER        serve: the port (default: 8080)
      --idle-timeout NUMBER  serve: unload models that have been idle for this number of seconds (default: 300)
      --python PATH        bench: the Python that has mlx-lm (default: python3, on a GPU)
      --context NUMBER     inspect: number of tokens to size the KV cache for (default: the model's context length)
  -h, --help               print this help
  -v, --version            print the version

Prompt and answer:
      --reasoning on|off|NUMBER       enable or disable reasoning, or limit it to this number of tokens
      --prefill-response TEXT         start of the answer; only the continuation is printed
      --chat-template-config JSON     variables for the chat template: '{"key": true}'
      --stop TEXT                     stop the answer at this text; may be repeated
      --ignore-eos                    continue after an end-of-sequence token

Sampling (0 turns most of these off):
  -t, --temperature, --temp NUMBER    sampling temperature; 0 always selects the most likely token
      --seed NUMBER                   random seed; the same seed gives the same answer
      --top-p NUMBER                  keep the most likely tokens up to this total probability
      --top-k NUMBER                  keep this number of the most likely tokens
      --min-p NUMBER                  keep tokens with at least this fraction of the top token's probability
      --min-tokens-to-keep NUMBER     minimum number of tokens that --min-p keeps
      --xtc-probability NUMBER        probability of excluding the most likely tokens
      --xtc-threshold NUMBER          exclude tokens above this probability
      --repetition-penalty NUMBER     divide the logits of tokens that have occurred
      --presence-penalty NUMBER       subtract from the logits of tokens that have occurred
      --frequency-penalty NUMBER      subtract from the logits once for each occurrence
      --repetition-context-size, --presence-context-size, --frequency-context-size NUMBER
                                      number of recent tokens that the penalty considers; 0 for all
      --logit-bias JSON               values to add to logits, by token id: '{"42": -5}'
      --logprobs NUMBER               with --json: log-probabilities, also of this number of most likely tokens

Memory:
      --prefill-step-size NUMBER      prompt tokens processed per step
      --max-kv-size NUMBER            maximum number of tokens in the KV cache
      --kv-bits NUMBER                quantize the KV cache to this number of bits
      --kv-group-size NUMBER          number of values that share a scale
      --quantized-kv-start NUMBER     number of tokens from which the KV cache is quantized

Speed:
      --draft-model ID|PATH           a smaller model with the same vocabulary, which guesses the next tokens
      --num-draft-tokens NUMBER       maximum number of its guesses in one pass (default: 2)
      --prompt-lookup                 guess that what followed the last tokens earlier in the text follows again

In a chat, /help lists the commands. Ctrl-C stops the answer; pressed again, it quits.`

/** Options of `generate` that take a number. */
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
  python: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'idle-timeout': { type: 'string' },
  stop: { type: 'string', multiple: true },
  'draft-model': { type: 'string' },
  'num-draft-tokens': { type: 'string' },
  'prompt-lookup': { type: 'boolean' },
  'ignore-eos': { type: 'boolean' },
  json: { type: 'boolean' },
  verbose: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const satisfies ParseArgsConfig['options']

const COMMANDS = [
  'bench',
  'chat',
  'cuda',
  'doctor',
  'generate',
  'inspect',
  'ls',
  'pull',
  'rm',
  'serve',
] as const

/** How an answer is printed. */
export interface Output {
  json: boolean
  verbose: boolean
}

/** The parsed command line. */
export interface Arguments {
  /** `undefined`: no command was named. */
  command: (typeof COMMANDS)[number] | 'help' | 'version' | undefined
  /** The arguments after the command. */
  operands: readonly string[]
  model: string | undefined
  revision: string | undefined
  adapter: string | undefined
  /** The model that guesses tokens, and how many at most in one pass. */
  draft: { id: string; tokens: number | undefined } | undefined
  /** Number of tokens that `inspect` sizes the KV cache for. */
  context: number | undefined
  /** The Python that `bench` runs mlx-lm with. */
  python: string | undefined
  /** Where `serve` listens. */
  host: string | undefined
  port: number | undefined
  /** Seconds after which `serve` unloads a model. */
  idleTimeout: number | undefined
  system: string | undefined
  /** The start of the answer. */
  prefill: string | undefined
  output: Output
  options: GenerateOptions
}

/** Parses the command line; throws an Error whose message can be printed. */
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
    draft: toDraft(values),
    context: toNumber('--context', values.context),
    python: values.python,
    host: values.host,
    port: toNumber('--port', values.port),
    idleTimeout: toNumber('--idle-timeout', values['idle-timeout']),
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
      speculative: values['prompt-lookup'] ? 'prompt-lookup' : undefined,
    },
  }
}

function toDraft(values: {
  'draft-model'?: string
  'num-draft-tokens'?: string
  'prompt-lookup'?: boolean
}): Arguments['draft'] {
  const id = values['draft-model']
  const tokens = toNumber('--num-draft-tokens', values['num-draft-tokens'])
  if (id === undefined && tokens !== undefined)
    throw new Error('--num-draft-tokens needs --draft-model')
  if (id !== undefined && values['prompt-lookup'])
    throw new Error('--draft-model and --prompt-lookup cannot be combined')
  return id === undefined ? undefined : { id, tokens }
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
