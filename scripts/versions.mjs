// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The version is that of package.json. These files repeat it, and change with a release only.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readJson, root } from './shared.mjs'

const FILES = [
  'package.json',
  'package-lock.json',
  'index.js',
  'Cargo.toml',
  'Cargo.lock',
  'kernels/Cargo.toml',
  'fuzz/Cargo.lock',
  'examples/electron-forge/package.json',
  'examples/electron-vite/package.json',
]

/** In npm's files, in cargo's, in a dependency, and twice in each check that napi-rs writes into index.js. */
const VERSION =
  /(?<="name": "node-mlx",\s+"version": "|name = "(?:node-mlx|cpu-kernels)"\nversion = "|"node-mlx": "|PackageVersion !== '|version mismatch, expected )\d[\w.+-]*/gu

/** Names each file that has another version than package.json, or none. */
export function versionProblems() {
  const { version } = readJson(root)
  return FILES.flatMap((file) => {
    const found = new Set(readFileSync(join(root, file), 'utf8').match(VERSION) ?? ['no version'])
    found.delete(version)
    return [...found].map((other) => `${file} has ${other}, package.json has ${version}`)
  })
}

export function setVersion(version) {
  for (const file of FILES) {
    const path = join(root, file)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(VERSION, version))
  }
}
