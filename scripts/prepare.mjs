// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Brings a checkout to where the package can be loaded: npm packages, the addon with its libraries, dist/.
// Uses Node's own modules only, because it runs before anything is installed.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildAddon, buildDist } from './build-steps.mjs'
import { DOCTOR_INPUTS } from './doctor-models.mjs'
import { root, run, targetDir } from './shared.mjs'

const ADDON_INPUTS = [
  'Cargo.toml',
  'Cargo.lock',
  'build.rs',
  '.cargo',
  'src',
  'kernels',
  'mlx-sys',
  'package.json',
]
const DIST_INPUTS = ['lib', 'index.d.ts', 'tsconfig.json', 'tsconfig.build.json', ...DOCTOR_INPUTS]
const NO_INPUT = new Set(['target', 'node_modules'])

/** Does what is not up to date, or all of it with `force`. */
export function prepare({ force = false } = {}) {
  installPackages()
  step('addon', ADDON_INPUTS, isAddonBuilt, buildAddon, force)
  step('dist', DIST_INPUTS, () => existsSync(join(root, 'dist/index.mjs')), buildDist, force)
}

export function installPackages(folder = root) {
  const installed = modified(join(folder, 'node_modules/.package-lock.json'))
  if (installed >= modified(join(folder, 'package-lock.json'))) return
  console.error('Installing npm packages …')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder })
}

/** A stamp file tells in milliseconds what cargo and tsc would take seconds to find out. */
function step(name, inputs, isBuilt, build, force) {
  const stamp = join(targetDir, `${name}.stamp`)
  if (!force && isBuilt() && existsSync(stamp) && readFileSync(stamp, 'utf8') === state(inputs))
    return
  build()
  writeFileSync(stamp, state(inputs))
}

function isAddonBuilt() {
  return (
    existsSync(join(root, 'index.js')) &&
    readdirSync(root).some((name) => name.startsWith('node-mlx.') && name.endsWith('.node'))
  )
}

/** Names, sizes and times of the inputs. */
function state(inputs) {
  return inputs.flatMap((input) => describe(input)).join('\n')
}

function describe(path) {
  const found = statSync(join(root, path), { throwIfNoEntry: false })
  if (found === undefined) return []
  if (!found.isDirectory()) return [`${path} ${found.size} ${found.mtimeMs}`]
  return readdirSync(join(root, path))
    .filter((name) => !NO_INPUT.has(name))
    .toSorted()
    .flatMap((name) => describe(`${path}/${name}`))
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
