// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run check`: everything that must hold before a change is committed, except the tests.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { bin, Failure, root, run, script } from './shared.mjs'

const GENERATED = ['index.js', 'index.d.ts']

const CHECKS = [
  ['cargo', 'fmt', '--all', '--check'],
  ['cargo', 'clippy', '--release', '--workspace', '--all-targets', '--', '-D', 'warnings'],
  // A workspace of its own, so that clippy does not see it.
  ['cargo', 'check', '--release', '--manifest-path', 'fuzz/Cargo.toml', '--target-dir', 'target'],
  [bin('oxlint'), '--deny-warnings'],
  [bin('prettier'), '--check', '--log-level=warn', '.'],
  [bin('tsc'), '--noEmit'],
  [bin('tsc'), '--noEmit', '-p', '__test__'],
  ['node', 'scripts/ruff.mjs', 'check', '--quiet'],
  ['node', 'scripts/ruff.mjs', 'format', '--check', '--quiet'],
  [process.execPath, 'scripts/layers.mjs'],
]

await script(() => {
  const before = readGenerated()
  prepare({ force: true })
  readGenerated().forEach((text, index) => {
    if (text !== before[index])
      throw new Failure(`the build changed ${GENERATED[index]}: commit it`)
  })
  for (const [command, ...args] of CHECKS) {
    console.log([command.replace(`${root}/node_modules/.bin/`, ''), ...args].join(' '))
    run(command, args, { output: 1 })
  }
})

function readGenerated() {
  return GENERATED.map((name) => readFileSync(join(root, name), 'utf8'))
}
