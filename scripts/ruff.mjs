// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs ruff, which lints and formats the Python files, with the arguments given: `node scripts/ruff.mjs check`.
// pip installs it into the target folder, in the version that ruff.toml requires.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { python, root, run, script, targetDir } from './shared.mjs'

await script(() => run(ruff(), process.argv.slice(2)))

function ruff() {
  const [, version] = /^required-version = "==(.+)"$/mu.exec(
    readFileSync(join(root, 'ruff.toml'), 'utf8'),
  )
  const folder = join(targetDir, `ruff-${version}`)
  if (!existsSync(folder)) install(version, folder)
  return join(folder, 'bin/ruff')
}

/** Renames the folder into place once it is complete, so that an interrupted installation is not taken for one. */
function install(version, folder) {
  console.error(`Installing ruff ${version} …`)
  const partial = `${folder}.${process.pid}`
  const options = [
    '--quiet',
    '--disable-pip-version-check',
    '--root-user-action=ignore',
    '--no-deps',
  ]
  mkdirSync(targetDir, { recursive: true })
  try {
    run(python, ['-m', 'pip', 'install', ...options, '--target', partial, `ruff==${version}`])
    renameSync(partial, folder)
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    throw error
  }
}
