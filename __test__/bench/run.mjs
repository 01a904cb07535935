// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run bench`: node-mlx against mlx-lm, each in processes of its own, in turns, on this machine's device.
//
// - a model of random weights with the dimensions of Qwen3-0.6B, in bf16 and 4 bits: tokens per second of the prompt
//   and of the answer
// - cold start: from the start of the process to the first word of the demo model's answer
//
// mlx-lm on a CPU takes up to five seconds a token, so prompts are short there. NODE_MLX_BENCH="PROMPT GENERATED RUNS"
// sets others, NODE_MLX_BENCH_KINDS=4bit leaves bf16 out.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, run, script, targetDir } from '../../scripts/shared.mjs'

const here = import.meta.dirname
const demo = join(root, 'models/demo')
const COLD_STARTS = 5
// Prompt tokens, generated tokens, runs (0: one, after a short warm-up)
const GPU_SIZES = { bf16: '2048 256 3', '4bit': '2048 256 3' }
const CPU_SIZES = { bf16: '128 4 0', '4bit': '32 4 0' }

await script(async () => {
  prepare()
  const python = output(process.env.PYTHON ?? 'python3', [join(root, 'tools/parity/venv.py')])
  const { devices, mlxVersion } = await import('node-mlx')
  const gpu = devices().includes('gpu')
  console.log(`MLX ${mlxVersion}, ${gpu ? 'gpu' : 'cpu'}`)
  console.log(`${'node-mlx'.padStart(40)} ${'mlx-lm'.padStart(10)} ${'ratio'.padStart(10)}`)
  const kinds = (process.env.NODE_MLX_BENCH_KINDS ?? 'bf16 4bit').split(' ')
  for (const kind of kinds) {
    const defaults = (gpu ? GPU_SIZES : CPU_SIZES)[kind]
    const sizes = (process.env.NODE_MLX_BENCH ?? defaults).split(' ')
    const folder = benchModel(python, kind)
    // Into the page cache, which is fair to whoever comes first.
    readFileSync(join(folder, 'model.safetensors'))
    const ours = measure(process.execPath, [join(here, 'speed.mjs'), folder, ...sizes])
    const theirs = measure(python, [join(here, 'speed.py'), folder, ...sizes])
    row(`${kind} prompt of ${sizes[0]}, tokens/s`, ours.prefill, theirs.prefill)
    row(`${kind} decode, tokens/s`, ours.decode, theirs.decode)
    row(`${kind} first token, s`, ours.first, theirs.first)
    row(`${kind} load, s`, ours.load, theirs.load)
  }
  const question = 'What is the capital of France?'
  const ours = []
  const theirs = []
  for (let index = 0; index <= COLD_STARTS; index += 1) {
    ours.push(await firstWord(process.execPath, [join(here, 'cold.mjs'), demo, question]))
    theirs.push(await firstWord(python, [join(here, 'cold.py'), demo, question]))
  }
  // The first pair warms the page cache.
  row('cold start, s', median(ours.slice(1)), median(theirs.slice(1)))
})

/** The folder of a random model, made by mlx-lm's MLX where it is not there yet. */
function benchModel(python, kind) {
  const folder = join(targetDir, 'bench', kind)
  if (!existsSync(join(folder, 'config.json')))
    run(python, [join(here, 'make_model.py'), folder, kind])
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(demo, file), join(folder, file))
  return folder
}

function measure(command, args) {
  return JSON.parse(output(command, args))
}

/** The last line that a program prints. */
function output(command, args) {
  const stdio = ['ignore', 'pipe', 'inherit']
  const { stdout, status } = spawnSync(command, args, { encoding: 'utf8', stdio })
  if (status !== 0) throw new Failure(`${command} ${args.join(' ')} failed`)
  return stdout.trim().split('\n').at(-1)
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

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

function row(name, ours, theirs) {
  const columns = [ours, theirs, ours / theirs].map((value) => value.toPrecision(4).padStart(10))
  console.log(name.padEnd(30) + columns.join(' '))
}
