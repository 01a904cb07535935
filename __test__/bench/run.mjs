// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run bench`, or `npm run bench -- <parts>`, on this machine's device. The parts:
//
// - speed: node-mlx against mlx-lm, each in processes of its own, in turns, with a model of random weights that has the
//   dimensions of Qwen3-0.6B, in bf16 and 4 bits: tokens per second of the prompt and of the answer
// - cold: against mlx-lm again, from the start of the process to the first word of the demo model's answer
// - options: tokens per second with top-p, penalties and both against those without, in 4 bits
// - load: `loadModel` against mlx-lm's `load`, of the same models with a tokenizer of Qwen3's size: time, and the peaks of
//   memory over the bytes that the weights take
// - chat: the time to the first token of a chat's next answer, with its cache and without, in bf16
//
// mlx-lm on a CPU takes up to five seconds a token, so prompts are short there. NODE_MLX_BENCH="PROMPT GENERATED RUNS"
// sets others for speed, NODE_MLX_BENCH_KINDS=4bit leaves bf16 out. On a CPU the models of options and chat have few layers,
// which makes both ratios worse; NODE_MLX_BENCH_LAYERS sets another number, 28 for all.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, script } from '../../scripts/shared.mjs'
import { lastLine } from './last-line.mjs'
import { compareLoads } from './load.mjs'
import { median } from './median.mjs'
import { benchModel, withLargeTokenizer } from './models.mjs'

const here = import.meta.dirname
const demo = join(root, 'models/demo')
const COLD_STARTS = 5
// Prompt tokens, generated tokens, runs (0: one, after a short warm-up)
const SPEED_SIZES = {
  gpu: { bf16: '2048 256 3', '4bit': '2048 256 3' },
  cpu: { bf16: '128 4 0', '4bit': '32 4 0' },
}
// Prompt tokens, generated tokens, rounds
const OPTIONS_SIZES = { gpu: '32 256 9', cpu: '16 8 7' }
// Tokens of history, rounds
const CHAT_SIZES = { gpu: '4000 9', cpu: '4000 3' }
// Of 28; on a GPU all are there.
const CPU_LAYERS = { options: '2', chat: '4' }
// At 4,000 tokens of history.
const MAX_CHAT_RATIO = 1 / 20

const parts = { speed, cold, load, options, chat }

await script(async () => {
  const names = process.argv.slice(2)
  const unknown = names.find((name) => !Object.hasOwn(parts, name))
  if (unknown !== undefined)
    throw new Failure(`${unknown}: the parts are ${Object.keys(parts).join(', ')}`)
  prepare()
  const python = lastLine(process.env.PYTHON ?? 'python3', [join(root, 'tools/parity/venv.py')])
  const { devices, mlxVersion } = await import('node-mlx')
  const device = devices().includes('gpu') ? 'gpu' : 'cpu'
  console.log(`MLX ${mlxVersion}, ${device}`)
  for (const [name, part] of Object.entries(parts))
    if (names.length === 0 || names.includes(name)) await part(python, device)
})

function speed(python, device) {
  header('node-mlx', 'mlx-lm')
  const kinds = (process.env.NODE_MLX_BENCH_KINDS ?? 'bf16 4bit').split(' ')
  for (const kind of kinds) {
    const sizes = process.env.NODE_MLX_BENCH ?? SPEED_SIZES[device][kind]
    const folder = benchModel(python, kind)
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

async function cold(python) {
  header('node-mlx', 'mlx-lm')
  const question = 'What is the capital of France?'
  const ours = []
  const theirs = []
  for (let index = 0; index <= COLD_STARTS; index += 1) {
    ours.push(await firstWord(process.execPath, [join(here, 'cold.mjs'), demo, question]))
    theirs.push(await firstWord(python, [join(here, 'cold.py'), demo, question]))
  }
  // The first pair warms the page cache.
  row('cold start, s', median(ours.slice(1)), median(theirs.slice(1)))
}

function load(python) {
  header('node-mlx', 'mlx-lm')
  for (const kind of ['bf16', '4bit']) {
    const folder = withLargeTokenizer(benchModel(python, kind))
    for (const [name, ours, theirs] of compareLoads(python, folder))
      row(`${kind} ${name}`, ours, theirs)
  }
}

function options(python, device) {
  header('with', 'without')
  const folder = benchModel(python, '4bit', layersOn(device, 'options'))
  const speeds = measure(process.execPath, 'options.mjs', folder, OPTIONS_SIZES[device])
  const { plain, ...others } = speeds
  for (const [name, decode] of Object.entries(others)) row(`${name}, tokens/s`, decode, plain)
}

function chat(python, device) {
  header('chat', 'fresh run')
  const folder = benchModel(python, 'bf16', layersOn(device, 'chat'))
  const { cached, ...times } = measure(process.execPath, 'chat.mjs', folder, CHAT_SIZES[device])
  row(`first token after ${cached}, s`, times.chat, times.fresh)
  if (times.chat > times.fresh * MAX_CHAT_RATIO)
    throw new Failure(`a chat should take at most ${MAX_CHAT_RATIO} of a fresh run's time`)
}

/** How many layers to leave; undefined for all. */
function layersOn(device, part) {
  return process.env.NODE_MLX_BENCH_LAYERS ?? (device === 'cpu' ? CPU_LAYERS[part] : undefined)
}

/** What a program of this folder reports. */
function measure(command, program, folder, sizes) {
  return JSON.parse(lastLine(command, [join(here, program), folder, ...sizes.split(' ')]))
}

/** Seconds from the start of a process to its first output. */
async function firstWord(command, args) {
  const start = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  const seconds = (performance.now() - start) / 1000
  await ended
  return seconds
}

function header(...names) {
  const columns = [...names, 'ratio'].map((name) => name.padStart(10))
  console.log(' '.repeat(30) + columns.join(' '))
}

function row(name, ours, theirs) {
  const columns = [ours, theirs, ours / theirs].map((value) => value.toPrecision(4).padStart(10))
  console.log(name.padEnd(30) + columns.join(' '))
}
