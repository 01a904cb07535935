// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// node-mlx against node-llama-cpp on a CPU, with models of the same dimensions, in turns.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run, targetDir } from '../../scripts/shared.mjs'
import { lastLine } from './last-line.mjs'
import { median } from './median.mjs'
import { benchModel, tinyModel } from './models.mjs'

const VERSION = '3.21.1'
const GGUF = 'gguf==0.19.0'
const ROUNDS = 5
const SHORT = '128 64'

/** The models and settings that are compared. `busy`: other processes for each core, which compute all the time. */
const CASES = [
  { name: 'Qwen3-0.6B', form: 'q4_k_m' },
  { name: 'Qwen3-0.6B', form: 'q4_0' },
  { name: 'Qwen3-0.6B', form: 'q4_k_m', sizes: '2048 64' },
  { name: 'Qwen3-0.6B', form: 'q4_k_m', busy: 1 },
  { name: 'Qwen3-0.6B', form: 'bf16', kind: 'bf16' },
  { name: 'Llama-3.2-1B', form: 'q4_k_m', shape: 'llama_1b' },
  { name: '8 layers of Qwen3-30B-A3B', form: 'q4_k_m', shape: 'qwen3_moe' },
  { name: 'Qwen3-0.6B', form: 'q4_k_m', busy: 4 },
]
const QUICK = [{ name: 'tiny', form: 'q4_k_m', shape: 'tiny', sizes: '8 4' }]

const here = import.meta.dirname
const home = join(targetDir, 'bench/llama-cpp')

/** Calls `row` with the name and both values of each figure. */
export function compareWithLlamaCpp(python, quick, row) {
  install(python)
  const wanted = process.env.NODE_MLX_BENCH_CASES?.split(',').map(Number)
  for (const [index, one] of (quick ? QUICK : CASES).entries()) {
    if (wanted !== undefined && !wanted.includes(index + 1)) continue
    compare(python, { kind: '4bit', sizes: SHORT, busy: 0, ...one }, quick ? 1 : ROUNDS, row)
  }
}

function compare(python, { name, kind, form, shape, sizes, busy }, rounds, row) {
  const folder = shape === 'tiny' ? tinyModel(python, kind) : benchModel(python, kind, { shape })
  const file = ggufModel(python, folder, form)
  const commands = {
    ours: [join(here, 'speed.mjs'), folder, ...sizes.split(' '), '0'],
    theirs: [join(here, 'llama-cpp-speed.mjs'), home, file, ...sizes.split(' ')],
  }
  const others = Array.from({ length: busy * availableParallelism() }, keepBusy)
  const figures = { ours: [], theirs: [] }
  const bandwidths = []
  try {
    // The first round brings the files into the page cache.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [who, command] of Object.entries(commands))
        figures[who][round] = JSON.parse(lastLine(process.execPath, command))
      bandwidths.push(Number(lastLine(python, [join(here, 'bandwidth.py')])))
    }
  } finally {
    for (const other of others) other.kill()
  }
  const middle = (who, what) => median(figures[who].slice(1).map((one) => one[what]))
  const [prompt] = sizes.split(' ')
  console.log(
    `${name}, ${kind} against ${form}, prompt of ${prompt}${busy ? `, beside ${busy} on each core` : ''}`,
  )
  for (const what of ['prefill', 'decode'])
    row(`  ${what}, tokens/s`, middle('ours', what), middle('theirs', what))
  console.log(`  memory is read at ${median(bandwidths).toPrecision(3)} GB/s`)
}

/** A process that computes until it is killed, or this one has ended. */
function keepBusy() {
  const script = `while (process.ppid === ${process.pid}) for (let turn = 0; turn < 1e8; turn++);`
  return spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
}

/** node-llama-cpp for this machine, without the packages for its GPUs, and what writes GGUF files. */
function install(python) {
  const stamp = join(home, 'installed')
  if (existsSync(stamp)) return
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{ "private": true }')
  const platform = `@node-llama-cpp/${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`
  const packages = ['node-llama-cpp', platform].map((name) => `${name}@${VERSION}`)
  run('npm', ['install', '--omit=optional', '--ignore-scripts', '--no-audit', ...packages], {
    cwd: home,
  })
  run(python, ['-m', 'pip', 'install', '--quiet', '--target', join(home, 'python'), GGUF])
  writeFileSync(stamp, '')
}

/** A GGUF file with the dimensions of the model in `folder`, made where it is not there yet. */
function ggufModel(python, folder, form) {
  const file = join(folder, `${form}.gguf`)
  if (!existsSync(file)) {
    const env = { ...process.env, PYTHONPATH: join(home, 'python') }
    run(python, [join(here, 'make_gguf.py'), folder, file, form], { env })
  }
  return file
}
