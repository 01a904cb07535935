// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../scripts/shared.mjs'

const PLATFORM = 'node-mlx-linux-x64-gnu'

/** Puts node-mlx and its addon into the node_modules of a folder, as npm would. */
export function installPackage(folder) {
  const { files, scripts: _, devDependencies: __, ...manifest } = readManifest()
  const main = join(folder, 'node_modules/node-mlx')
  mkdirSync(main, { recursive: true })
  for (const name of files) cpSync(join(root, name), join(main, name), { recursive: true })
  const { version } = manifest
  writeJson(main, { ...manifest, optionalDependencies: { [PLATFORM]: version } })

  const platform = join(folder, 'node_modules', PLATFORM)
  mkdirSync(platform, { recursive: true })
  const binaries = readdirSync(root).filter((name) => /\.(?:node|so(?:\.[\d.]+)?)$/u.test(name))
  for (const name of binaries) cpSync(join(root, name), join(platform, name))
  const addon = binaries.find((name) => name.endsWith('.node'))
  writeJson(platform, { name: PLATFORM, version, main: addon, files: binaries })
}

function readManifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
}

function writeJson(folder, manifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}
