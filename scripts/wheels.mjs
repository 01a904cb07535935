// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { python, root, run, targetDir } from './shared.mjs'

/**
 * The unpacked wheel of a package that mlx-sys/wheels.lock pins, for a platform by pip's name. mlx-sys/build.rs unpacks
 * into the same folders.
 */
export function fetchWheel(name, platform) {
  const requirement = readRequirement(name)
  const [, version] = /==([\d.]+)/u.exec(requirement)
  const folder = join(targetDir, 'wheels', `${name}-${version}-${platform}`)
  if (existsSync(join(folder, '.complete'))) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const requirements = join(folder, 'requirements.txt')
  writeFileSync(requirements, requirement)
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes']
  const place = ['--platform', platform, '--dest', folder, '--requirement', requirements]
  run(python, ['-m', 'pip', 'download', ...options, ...place])
  const wheel = join(
    folder,
    readdirSync(folder).find((file) => file.endsWith('.whl')),
  )
  run(python, ['-m', 'zipfile', '-e', wheel, folder])
  rmSync(wheel)
  writeFileSync(join(folder, '.complete'), '')
  return folder
}

/** A package's lines in the lock file: name, version and hashes. */
function readRequirement(name) {
  const lock = readFileSync(join(root, 'mlx-sys/wheels.lock'), 'utf8')
  const start = lock.indexOf(`${name}==`)
  const [requirement] = /^(?:.*\\\n)*.*/u.exec(lock.slice(start))
  return requirement
}
