// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run fuzz`: every fuzz target for a minute. `npm run fuzz -- <seconds> <target>...`: those, so long.
// What a target finds stays in fuzz/artifacts; run it again with `npm run fuzz -- 0 <target>`.

import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, root, run, script, targetDir } from './shared.mjs'

const FUZZ = join(root, 'fuzz')
const TARGETS = readdirSync(join(FUZZ, 'targets')).map((file) => file.replace('.rs', ''))

/** Coverage counters for libFuzzer, as `cargo fuzz` compiles them; stable Rust has them. */
const COVERAGE = [
  '--cfg fuzzing',
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  // The linker would drop the counters.
  ...(process.platform === 'linux' ? ['-Clink-arg=-Wl,-z,nostart-stop-gc'] : []),
]

await script(() => {
  const [seconds = '60', ...named] = process.argv.slice(2)
  const unknown = named.find((target) => !TARGETS.includes(target))
  if (unknown || !/^\d+$/u.test(seconds))
    throw new Failure(`usage: npm run fuzz -- [seconds] [${TARGETS.join('|')}]...`)
  const env = { ...process.env, RUSTFLAGS: COVERAGE.join(' ') }
  const cargo = [
    '--release',
    '--quiet',
    '--manifest-path',
    join(FUZZ, 'Cargo.toml'),
    '--target-dir',
    join(targetDir, 'fuzz'),
  ]
  run('cargo', ['build', ...cargo], { env })
  const failed = (named.length > 0 ? named : TARGETS).filter((target) => !fuzz(target))
  if (failed.length > 0)
    throw new Failure(`fuzzing found faults in ${failed.join(', ')}: see fuzz/artifacts`)

  function fuzz(target) {
    console.error(`\n${target}`)
    const corpus = join(FUZZ, 'corpus', target)
    const artifacts = join(FUZZ, 'artifacts', target)
    for (const folder of [corpus, artifacts]) mkdirSync(folder, { recursive: true })
    const options = [
      `-max_total_time=${seconds}`,
      ...(seconds === '0' ? ['-runs=0'] : []),
      '-timeout=1',
      '-rss_limit_mb=500',
      '-max_len=4096',
      '-print_final_stats=1',
      '-verbosity=0',
      `-artifact_prefix=${artifacts}/`,
      corpus,
      join(FUZZ, 'seeds', target),
      artifacts,
    ]
    try {
      run('cargo', ['run', ...cargo, '--bin', target, '--', ...options], { env })
      return true
    } catch (error) {
      if (error instanceof Failure) return false
      throw error
    }
  }
})
