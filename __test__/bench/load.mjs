// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Loading: node-mlx's `loadModel` against mlx-lm's `load`, each in fresh processes, in turns, from a warm page cache.
// Prints the medians of the time, and of the peaks of memory over the bytes that the weights take.
//
// usage: load.mjs [FOLDER …]   (default: the models that `npm run bench` makes)
//
// NODE_MLX_BENCH_RUNS sets how often each loads. On a CPU node-mlx holds floats as f32, so more bytes than the file has.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { root, script, targetDir } from '../../scripts/shared.mjs'

const here = import.meta.dirname
const runs = Number(process.env.NODE_MLX_BENCH_RUNS ?? 7)

await script(() => {
  prepare()
  const python = output(process.env.PYTHON ?? 'python3', [join(root, 'tools/parity/venv.py')])
  const folders = process.argv.slice(2)
  if (folders.length === 0)
    folders.push(...['bf16', '4bit'].map((kind) => join(targetDir, 'bench', kind)))
  console.log(`${'node-mlx'.padStart(40)} ${'mlx-lm'.padStart(10)} ${'ratio'.padStart(10)}`)
  for (const folder of folders) compare(python, folder)
})

function compare(python, folder) {
  // Into the page cache, which is fair to whoever comes first.
  for (const file of readdirSync(folder)) readFileSync(join(folder, file))
  const ours = []
  const theirs = []
  for (let run = 0; run < runs; run += 1) {
    ours.push(JSON.parse(output(process.execPath, [join(here, 'load-once.mjs'), folder])))
    theirs.push(JSON.parse(output(python, [join(here, 'load.py'), folder])))
  }
  const name = basename(folder)
  const rows = {
    'load, s': ({ seconds }) => seconds,
    'MiB held': ({ held }) => held / 2 ** 20,
    'peak RSS / held': ({ rss, held }) => rss / held,
    "MLX's peak / held": ({ peak, held }) => peak / held,
  }
  for (const [title, pick] of Object.entries(rows))
    row(`${name} ${title}`, median(ours.map(pick)), median(theirs.map(pick)))
}

/** The last line that a program prints. */
function output(command, args) {
  const text = execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return text.trim().split('\n').at(-1)
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

function row(name, ours, theirs) {
  const columns = [ours, theirs, ours / theirs].map((value) => value.toPrecision(4).padStart(10))
  console.log(name.padEnd(30) + columns.join(' '))
}
