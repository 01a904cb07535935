// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm test`: everything. `npm test -- <vitest arguments>`: that part of the Vitest suite only.

import { prepare } from './prepare.mjs'
import { bin, run, script } from './shared.mjs'

const STDOUT = { output: 1 }

await script(() => {
  const args = process.argv.slice(2)
  prepare()
  run(bin('vitest'), ['run', ...args], STDOUT)
  if (args.length > 0) return
  run('cargo', ['test', '--release', '--quiet'], STDOUT)
  run(process.execPath, ['__test__/consumer/run.mjs'], STDOUT)
})
