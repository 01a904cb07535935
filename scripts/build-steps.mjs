// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { writeDoctorModels } from './doctor-models.mjs'
import { bin, Failure, isWindows, python, root, run, targetDir } from './shared.mjs'

/** Compiles the Rust crate into node-mlx.<platform>.node, index.js and index.d.ts. */
export function buildAddon() {
  requireTools()
  mkdirSync(targetDir, { recursive: true })
  console.error('Building the addon (the first time takes some minutes) …')
  run(bin('napi'), ['build', '--platform', '--release', '--no-const-enum'])
  copyRuntime()
}

/** Compiles lib/ into dist/, for CommonJS and ESM. */
export function buildDist() {
  console.error('Compiling lib/ …')
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  run(bin('tsc'), ['-p', 'tsconfig.build.json'])
  // A page without a bundler loads this one file.
  const page = 'electron/renderer.mjs'
  run(bin('rolldown'), [
    `lib/${page.replace('mjs', 'mts')}`,
    '--file',
    `dist/${page}`,
    '--log-level',
    'warn',
  ])
  writeDoctorModels(join(root, 'dist/doctor/models'))
}

/** This machine's addon, as it was built for use here, and its libraries. */
export function ownFiles() {
  const addon = readdirSync(root).find((name) => /^node-mlx\..*\.node$/u.test(name))
  return [join(root, addon), ...runtimeFiles(hostTriple())]
}

/**
 * Compiles the addon for another platform, on Linux x64 (see cross/toolchain.py). Returns it, under the name that napi's
 * loader looks for, and its libraries. What lies beside index.js stays this machine's.
 */
export function crossBuild(triple) {
  console.error(`Building the addon for ${triple} …`)
  const env = { ...process.env, ...crossVariables(triple) }
  run('cargo', ['build', '--locked', '--release', '--lib', '--target', triple], { env })
  const built = join(targetDir, triple, 'release')
  const library = readdirSync(built).find((name) => /^libnode_mlx\.(?:so|dylib)$/u.test(name))
  const platform = triple.includes('darwin') ? 'darwin-arm64' : 'linux-arm64-gnu'
  const addon = join(built, `node-mlx.${platform}.node`)
  copyFileSync(join(built, library), addon)
  return [addon, ...runtimeFiles(triple)]
}

/** The variables that name the tools for another platform. */
export function crossVariables(triple) {
  return JSON.parse(output(python, ['scripts/cross/toolchain.py', triple]))
}

/** The triple that cargo builds for without being told. */
export function hostTriple() {
  return output(process.env.RUSTC ?? 'rustc', ['--print', 'host-tuple']).trim()
}

function output(command, args) {
  return execFileSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** The libraries that the addon looks for in its own folder: libmlx and what comes with it. */
function runtimeFiles(triple) {
  const folder = join(targetDir, 'mlx-runtime', triple)
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
}

function copyRuntime() {
  for (const source of runtimeFiles(hostTriple())) {
    const target = join(root, basename(source))
    const { size, atime, mtime } = statSync(source)
    const existing = statSync(target, { throwIfNoEntry: false })
    if (existing?.size === size && existing.mtimeMs === mtime.getTime()) continue
    // Renamed into place: a process may have the old file mapped.
    copyFileSync(source, `${target}.new`)
    utimesSync(`${target}.new`, atime, mtime)
    renameSync(`${target}.new`, target)
  }
}

function requireTools() {
  const compiler = process.env.CXX ?? (process.platform === 'linux' ? 'g++' : 'c++')
  const tools = [
    ['cargo', ['--version'], 'the Rust toolchain (cargo); get it at https://rustup.rs'],
  ]
  // Microsoft's compiler is in no search path; cargo finds it.
  if (!isWindows)
    tools.push([compiler, ['--version'], 'a C++ compiler; install g++ or clang, or set CXX'])
  if (!process.env.MLX_DIR) {
    const what = 'Python 3 with pip, which fetches MLX; install it, or set PYTHON or MLX_DIR'
    tools.push([python, ['-m', 'pip', '--version'], what])
  }
  for (const [command, args, what] of tools) {
    const { status } = spawnSync(command, args, { stdio: 'ignore' })
    if (status !== 0) throw new Failure(`the build needs ${what}`)
  }
}
