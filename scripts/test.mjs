// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm test`: everything but the project `programs`. `npm test -- <vitest arguments>`: that part of the Vitest suite only.

import { execFileSync } from 'node:child_process'
import { prepare } from './prepare.mjs'
import { bin, root, run, runAll, script } from './shared.mjs'

const STDOUT = { output: 1 }
const PROJECTS = ['--project', 'behaviour', '--project', 'timing']

await script(async () => {
  const args = process.argv.slice(2)
  prepare()
  run(bin('vitest'), ['run', ...(args.length > 0 ? args : PROJECTS)], STDOUT)
  if (args.length > 0) return
  run(process.execPath, ['scripts/tokenizers.mjs'])
  const test = ['test', '--release', '--quiet', '--workspace']
  run('cargo', [...test, '--no-run'], STDOUT)
  // Each keeps one core busy.
  await runAll([['--lib'], ...integrationTests()].map((target) => ['cargo', [...test, ...target]]))
  run(process.execPath, ['__test__/cargo-examples.mjs'], STDOUT)
  run(process.execPath, ['__test__/consumer/run.mjs'], STDOUT)
})

/** What makes cargo run each of them alone. */
function integrationTests() {
  const args = ['metadata', '--no-deps', '--format-version=1']
  const { packages } = JSON.parse(execFileSync('cargo', args, { cwd: root, encoding: 'utf8' }))
  const targets = packages.flatMap((each) => each.targets)
  return targets.filter(({ kind }) => kind.includes('test')).map(({ name }) => ['--test', name])
}
