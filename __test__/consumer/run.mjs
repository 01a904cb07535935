// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Installs the packed tarballs into an empty folder, as a user would, and streams an answer in every way a user
// may load the package. Nothing but node is on the PATH: no compiler, no Python. With `--packed`, it takes those of this
// platform from target/packages; without, it makes them first.

import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PACKAGES } from '../../scripts/packages.mjs'
import { readJson, root, run, script, targetDir } from '../../scripts/shared.mjs'
import { packages } from '../../scripts/tarballs.mjs'

const WAYS = {
  ESM: ['esm.mjs'],
  CommonJS: ['common.cjs'],
  'a worker thread': ['worker.mjs'],
  'TypeScript, compiled strictly': ['node_modules/typescript/bin/tsc', '-p', '.'],
  'TypeScript, run': ['compiled/strict.mjs'],
  Vitest: ['node_modules/vitest/vitest.mjs', 'run', 'vitest.test.mjs'],
  Jest: ['node_modules/jest/bin/jest.js', '--silent'],
  'the command line': [
    'node_modules/node-mlx/dist/cli/bin.js',
    '--model',
    join(root, 'models/demo'),
    'What is the capital of France?',
  ],
}

const QUIET = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
const app = join(import.meta.dirname, 'app')

await script(() => {
  if (!process.argv.includes('--packed')) run(process.execPath, [join(root, 'scripts/pack.mjs')])
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-consumer-'))
  try {
    const env = { ...bareEnvironment(folder), MODEL: join(root, 'models/demo') }
    install(folder, env)
    for (const [way, args] of Object.entries(WAYS)) {
      const start = performance.now()
      run(process.execPath, args, { cwd: folder, env, output: 'ignore' })
      console.log(`✓ ${way} (${Math.round(performance.now() - start)} ms)`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

function install(folder, env) {
  cpSync(installTools(), folder, { recursive: true, verbatimSymlinks: true })
  cpSync(app, folder, { recursive: true })
  const npm = execFileSync('npm', ['root', '--global'], { encoding: 'utf8' }).trim()
  const args = ['install', ...QUIET, ...ownTarballs()]
  run(process.execPath, [join(npm, 'npm/bin/npm-cli.js'), ...args], { cwd: folder, env })
}

/** node-mlx, and what there is for this platform: its own package, and those with other builds of MLX. */
function ownTarballs() {
  const fitting = PACKAGES.filter(({ os, cpu }) => os === process.platform && cpu === process.arch)
  const { version } = readJson(root)
  return ['node-mlx', ...fitting.map(({ name }) => name)]
    .map((name) => join(packages, `${name}-${version}.tgz`))
    .filter((path) => existsSync(path))
}

/** TypeScript and the test runners, kept from one run to the next. */
function installTools() {
  const folder = join(targetDir, 'consumer-tools')
  const wanted = readFileSync(join(app, 'package.json'), 'utf8')
  const manifest = join(folder, 'package.json')
  // npm writes this file last.
  const isInstalled = existsSync(join(folder, 'node_modules/.package-lock.json'))
  if (isInstalled && readFileSync(manifest, 'utf8') === wanted) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(manifest, wanted)
  run('npm', ['install', ...QUIET], { cwd: folder })
  return folder
}

function bareEnvironment(folder) {
  const path = join(folder, 'only-node')
  mkdirSync(path)
  symlinkSync(process.execPath, join(path, 'node'))
  const { HOME, TMPDIR } = process.env
  return { PATH: path, HOME, ...(TMPDIR && { TMPDIR }) }
}
