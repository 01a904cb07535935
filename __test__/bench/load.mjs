// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lastLine } from './last-line.mjs'
import { median } from './median.mjs'

const here = import.meta.dirname

// On a CPU node-mlx holds floats as f32, so more bytes than the file has.
const FIGURES = {
  'load, s': ({ seconds }) => seconds,
  'MiB held': ({ held }) => held / 2 ** 20,
  'peak RSS / held': ({ rss, held }) => rss / held,
  "MLX's peak / held": ({ peak, held }) => peak / held,
}

/** Loads a model with both, each in fresh processes, in turns; gives names and medians. */
export function compareLoads(python, folder, runs) {
  // Into the page cache, which is fair to whoever comes first.
  for (const file of readdirSync(folder)) readFileSync(join(folder, file))
  const ours = []
  const theirs = []
  for (let run = 0; run < runs; run += 1) {
    ours.push(JSON.parse(lastLine(process.execPath, [join(here, 'load-once.mjs'), folder])))
    theirs.push(JSON.parse(lastLine(python, [join(here, 'load.py'), folder])))
  }
  return Object.entries(FIGURES).map(([name, pick]) => [
    name,
    median(ours.map(pick)),
    median(theirs.map(pick)),
  ])
}
