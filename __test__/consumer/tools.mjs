// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The programs that use the package: Node.js, Bun, Deno, compilers, bundlers, test runners, package managers. All come from
// npm, in the versions of tools/*/package-lock.json, and are kept in target/consumer-tools from one run to the next.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { installPackages } from '../../scripts/prepare.mjs'
import { isWindows, targetDir, windowsNpm } from '../../scripts/shared.mjs'

/** Programs of which npm has one package for each platform (the optional dependencies of tools/all), and where they are in it. */
const PROGRAMS = {
  'node-20': 'bin/node',
  'node-22': 'bin/node',
  'node-24': 'bin/node',
  bun: 'bin/bun',
  deno: 'deno',
  pnpm: 'pnpm',
}

const npm = isWindows
  ? windowsNpm
  : join(
      execFileSync('npm', ['root', '--global'], { encoding: 'utf8' }).trim(),
      'npm/bin/npm-cli.js',
    )

export const platform = `${process.platform}-${process.arch}`

/** Installs the packages of a folder of tools/, unless they are there. Returns the folder that they are in. */
export function installTools(name) {
  const folder = join(targetDir, 'consumer-tools', name)
  const wanted = join(import.meta.dirname, 'tools', name)
  cpSync(wanted, folder, { recursive: true, preserveTimestamps: true })
  installPackages(folder)
  return folder
}

/** A file of the packages that installTools installs. */
export function tool(name, file) {
  return join(targetDir, 'consumer-tools', name, 'node_modules', file)
}

/** The beginning of the command line of a program, or undefined if npm does not have it for this platform. */
export function findProgram(name) {
  if (name.startsWith('./')) return [name]
  if (name === 'node') return [process.execPath]
  if (name === 'npm') return [process.execPath, npm]
  const file = tool('all', join(`${name}-${platform}`, PROGRAMS[name]))
  return existsSync(file) ? [file] : undefined
}
