// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm test`: everything. `npm test -- <vitest arguments>`: that part of the Vitest suite only.

import { prepare } from './prepare.mjs'
import { bin, run, runAll, script } from './shared.mjs'

const STDOUT = { output: 1 }

await script(async () => {
  const args = process.argv.slice(2)
  prepare()
  run(bin('vitest'), ['run', ...args], STDOUT)
  if (args.length > 0) return
  const test = ['test', '--release', '--quiet']
  run('cargo', [...test, '--no-run'], STDOUT)
  // Each keeps one core busy.
  await runAll([
    ['cargo', [...test, '--lib']],
    ['cargo', [...test, '--test', 'parity']],
    ['cargo', [...test, '--test', 'configs']],
  ])
  run(process.execPath, ['__test__/consumer/run.mjs'], STDOUT)
})
