// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { Failure, root, run, script, targetDir } from './shared.mjs'

const FUZZ = join(root, 'fuzz')

/** Bytes of an input at most: more would cost time and find nothing new. */
const MAX_LEN = {
  safetensors_header: 1024,
  index_json: 1024,
  config_json: 4096,
  generation_config: 512,
  tokenizer_json: 2048,
  chat_template: 2048,
  generate_options: 256,
  streaming: 256,
}
/** Kinds of cases for the package as it is built. */
const ADDON = ['config', 'weights', 'tokenizer', 'template', 'options'].map(
  (kind) => `addon_${kind}`,
)
const TARGETS = [...Object.keys(MAX_LEN), ...ADDON]

const USAGE = `Usage: npm run fuzz -- [seconds [target ...]]

Runs fuzz targets, by default all of them, each for that many seconds (default: 60). With 0 seconds, a target only runs
its seeds and what it found before, which stays in fuzz/artifacts.

Those named addon_* call the package as it is built, with changed files and arguments, and print the numbers of the cases that fail:
node fuzz/addon/run.mjs <kind> <cases> [first] repeats them.

The others need cargo-fuzz (cargo install cargo-fuzz), on stable Rust or nightly. The targets:
${TARGETS.map((target) => `  ${target}`).join('\n')}`

/** A crash, more than a second or more than 500 MB is a fault. */
const LIMITS = ['-timeout=1', '-rss_limit_mb=500']

// No sanitizer: there is hardly any unsafe code of ours, and MLX is not compiled here.
const BUILD = ['--sanitizer=none', `--target-dir=${join(targetDir, 'fuzz')}`]

await script(() => {
  const [seconds = '60', ...named] = process.argv.slice(2)
  if (seconds === '--help') {
    console.log(USAGE)
    return
  }
  const unknown = named.find((target) => !TARGETS.includes(target))
  if (unknown || !/^\d+$/u.test(seconds))
    throw new Failure(`${unknown ?? seconds}: see npm run fuzz -- --help`)
  const targets = named.length > 0 ? named : TARGETS
  if (!targets.every((target) => ADDON.includes(target)) && !hasCargoFuzz())
    throw new Failure('cargo-fuzz is missing: cargo install cargo-fuzz')
  // Targets write a file for each input.
  const scratch = mkdtempSync(
    join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'node-mlx-fuzz-'),
  )
  try {
    const failed = targets.filter((target) => !fuzz(target))
    if (failed.length > 0)
      throw new Failure(`fuzzing found faults in ${failed.join(', ')}: see fuzz/artifacts`)
  } finally {
    rmSync(scratch, { recursive: true })
  }

  function fuzz(target) {
    console.error(`\n${target}`)
    if (ADDON.includes(target)) {
      prepare()
      const kind = target.replace('addon_', '')
      return succeeds(process.execPath, ['fuzz/addon/run.mjs', kind, `${seconds}s`])
    }
    const corpus = join(FUZZ, 'corpus', target)
    const artifacts = join(FUZZ, 'artifacts', target)
    for (const folder of [corpus, artifacts]) mkdirSync(folder, { recursive: true })
    const inputs = [corpus, join(FUZZ, 'seeds', target), artifacts]
    const dictionary = join(FUZZ, 'dictionaries', `${target}.dict`)
    const options = [
      ...LIMITS,
      `-max_total_time=${seconds}`,
      ...(seconds === '0' ? ['-runs=0'] : []),
      `-max_len=${MAX_LEN[target]}`,
      ...(existsSync(dictionary) ? [`-dict=${dictionary}`] : []),
      '-print_final_stats=1',
      '-verbosity=0',
    ]
    return succeeds('cargo', ['fuzz', 'run', ...BUILD, target, ...inputs, '--', ...options])
  }

  function succeeds(command, args) {
    try {
      run(command, args, { env: { ...process.env, TMPDIR: scratch } })
      return true
    } catch (error) {
      if (error instanceof Failure) return false
      throw error
    }
  }
})

function hasCargoFuzz() {
  return spawnSync('cargo', ['fuzz', '--version'], { cwd: root, stdio: 'ignore' }).status === 0
}
