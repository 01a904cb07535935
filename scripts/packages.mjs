// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The packages with the addon: what each holds.

import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { crossVariables } from './build-steps.mjs'
import { readJson, root, run } from './shared.mjs'
import { fetchWheel } from './wheels.mjs'

const LINUX_X64 = { triple: 'x86_64-unknown-linux-gnu', os: 'linux', cpu: 'x64', libc: 'glibc' }
const LINUX_ARM64 = {
  triple: 'aarch64-unknown-linux-gnu',
  os: 'linux',
  cpu: 'arm64',
  libc: 'glibc',
}
const WINDOWS_X64 = { triple: 'x86_64-pc-windows-msvc', os: 'win32', cpu: 'x64' }
const MACOS = { triple: 'aarch64-apple-darwin', os: 'darwin', cpu: 'arm64' }

/**
 * All of them. One with `from` holds the addon of that package with another build of MLX, which has the same headers and
 * symbols. Users install it by its own name.
 */
export const PACKAGES = [
  { name: 'node-mlx-linux-x64-gnu', ...LINUX_X64 },
  { name: 'node-mlx-linux-arm64-gnu', ...LINUX_ARM64 },
  { name: 'node-mlx-darwin-arm64', ...MACOS },
  { name: 'node-mlx-win32-x64-msvc', ...WINDOWS_X64 },
  {
    name: 'node-mlx-darwin-arm64-macos26',
    ...MACOS,
    from: 'node-mlx-darwin-arm64',
    wheels: ['mlx-metal', 'macosx_14_0_arm64', 'mlx-metal', 'macosx_26_0_arm64'],
    exchange: exchangeMacos26,
  },
  {
    name: 'node-mlx-linux-x64-cuda',
    ...LINUX_X64,
    from: 'node-mlx-linux-x64-gnu',
    wheels: ['mlx-cpu', 'manylinux_2_35_x86_64', 'mlx-cuda-13', 'manylinux_2_35_x86_64'],
    exchange: exchangeCuda,
  },
]

/** Lays a package into `<folder>/<name>`: the addon with its libraries, or another package with MLX exchanged. */
export function stage(item, folder, files) {
  const target = join(folder, item.name)
  rmSync(target, { recursive: true, force: true })
  if (item.from === undefined) {
    mkdirSync(target, { recursive: true })
    for (const file of files) copyFileSync(file, join(target, basename(file)))
    if (item.os === 'linux') stripLibraries(item, target)
    copyFileSync(join(root, 'LICENSE'), join(target, 'LICENSE'))
  } else {
    cpSync(join(folder, item.from), target, { recursive: true })
    item.exchange(target, otherWheel(item.wheels))
  }
  writeManifest(item, target)
  return target
}

/** Leaves out the symbols that only debuggers want, and OpenBLAS's tables for exceptions: 1.3 MB of a tarball. */
function stripLibraries({ triple, cpu }, target) {
  const tool = (name) => {
    const variable = `${name.toUpperCase()}_${triple.replaceAll('-', '_')}`
    return cpu === process.arch ? name : crossVariables(triple)[variable]
  }
  const libraries = readdirSync(target).filter((file) => /\.so/u.test(file))
  for (const file of libraries) run(tool('strip'), ['--strip-unneeded', join(target, file)])
  emptyUnwindTables(tool('objcopy'), join(target, 'libscipy_openblas.so'))
}

/** For a library that is C and Fortran: no exception passes through its functions. */
function emptyUnwindTables(objcopy, library) {
  // The header keeps its format and where the table is; the number of entries, which follows, becomes 0.
  const kept = { '.eh_frame_hdr': 8, '.eh_frame': 0 }
  for (const [section, bytes] of Object.entries(kept)) {
    const file = `${library}${section}`
    run(objcopy, ['--dump-section', `${section}=${file}`, library])
    writeFileSync(file, readFileSync(file).fill(0, bytes))
    run(objcopy, ['--update-section', `${section}=${file}`, library])
    rmSync(file)
  }
}

/** The wheel with another build of MLX, whose interface must be that of the one which the addon was compiled with. */
function otherWheel([name, platform, otherName, otherPlatform]) {
  const other = fetchWheel(otherName, otherPlatform)
  const headers = [fetchWheel(name, platform), other].map((wheel) => join(wheel, 'mlx/include/mlx'))
  run('diff', ['--recursive', '--brief', ...headers])
  return join(other, 'mlx')
}

/** The build for macOS 26 has kernels for the M5, and one library more. */
function exchangeMacos26(target, mlx) {
  for (const name of ['libmlx.dylib', 'libjaccl.dylib', 'mlx.metallib'])
    copyFileSync(join(mlx, 'lib', name), join(target, name))
}

/** libmlx looks for headers in ../include. */
function exchangeCuda(target, mlx) {
  const lib = join(target, 'lib')
  mkdirSync(lib)
  const files = readdirSync(target).filter((name) => /\.(?:node|so)/u.test(name))
  for (const name of files) {
    copyFileSync(join(target, name), join(lib, name))
    rmSync(join(target, name))
  }
  copyFileSync(join(mlx, 'lib/libmlx.so'), join(lib, 'libmlx.so'))
  // MLX's own headers are inside libmlx.
  for (const name of ['cccl', 'cute', 'cutlass'])
    cpSync(join(mlx, 'include', name), join(target, 'include', name), { recursive: true })
  compile('nvidia.c', join(lib, 'libnccl.so.2'), '-DNCCL', '-Wl,-soname,libnccl.so.2')
  // Its symbols have the name of the library as their version.
  const names = '-Wl,-soname,libcufft.so.12,--default-symver'
  compile('nvidia.c', join(lib, 'libcufft.so.12'), '-DCUFFT', names)
  compile('probe.c', join(lib, 'probe.node'))
}

/** Compiles a source of mlx-sys/native into a library. */
export function compile(source, library, ...options) {
  const path = join(root, 'mlx-sys/native', source)
  run(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O2', '-s', ...options, path, '-o', library])
}

function writeManifest({ name, os, cpu, libc }, folder) {
  const { version, license, repository, author, engines } = readJson(root)
  const files = readdirSync(folder, { recursive: true }).map((file) => file.replaceAll('\\', '/'))
  const main = files.find((file) => /\bnode-mlx\.[^/]+\.node$/u.test(file))
  const system = { os: [os], cpu: [cpu], ...(libc && { libc: [libc] }) }
  const description = `node-mlx's addon, with its libraries, for ${name.replace('node-mlx-', '')}`
  const manifest = { name, version, description, license, repository, author, engines, ...system }
  const text = JSON.stringify({ ...manifest, main }, null, 2)
  writeFileSync(join(folder, 'package.json'), `${text}\n`)
  const link = 'https://www.npmjs.com/package/node-mlx'
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}\n\n${description}. See [node-mlx](${link}).\n`,
  )
}
