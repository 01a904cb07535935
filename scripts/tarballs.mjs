// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGES } from './packages.mjs'
import { readJson, root, targetDir } from './shared.mjs'

/** Where `npm run pack` puts tarballs. */
export const packages = join(targetDir, 'packages')

const limits = JSON.parse(readFileSync(join(root, 'scripts/package-sizes.json'), 'utf8'))

export function tarballPath(name, version) {
  return join(packages, `${name}-${version}.tgz`)
}

/** A package's tarball, whose size is printed; and what is wrong with it: it is not there, or larger than allowed. */
export function findTarball(name, version) {
  const path = tarballPath(name, version)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return { name, path, problem: `there is no ${path}` }
  const megabytes = found.size / 1e6
  console.error(`${name}: ${megabytes.toFixed(2)} MB, at most ${limits[name]}`)
  if (megabytes <= limits[name]) return { name, path }
  const problem = `${name} is larger than ${limits[name]} MB (scripts/package-sizes.json)`
  return { name, path, problem }
}

/** node-mlx, and what there is for this platform: its own package, and those with other builds of MLX. */
export function ownTarballs() {
  const fitting = PACKAGES.filter(({ os, cpu }) => os === process.platform && cpu === process.arch)
  const { version } = readJson(root)
  return ['node-mlx', ...fitting.map(({ name }) => name)]
    .map((name) => tarballPath(name, version))
    .filter((path) => existsSync(path))
}
