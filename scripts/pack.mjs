// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run pack`: makes the tarballs to publish, in target/packages: node-mlx, and node-mlx-<platform> for each
// platform whose addon lies in npm/<platform> (this machine's is put there).

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { runtimeFiles } from './build-steps.mjs'
import { prepare } from './prepare.mjs'
import { bin, root, run, script, targetDir } from './shared.mjs'

const packages = join(targetDir, 'packages')

await script(() => {
  prepare()
  run(bin('napi'), ['create-npm-dirs'])
  fillPlatform()
  rmSync(packages, { recursive: true, force: true })
  mkdirSync(packages, { recursive: true })
  const platforms = readdirSync(join(root, 'npm'))
    .map((name) => join(root, 'npm', name))
    .filter((folder) => readdirSync(folder).some((name) => name.endsWith('.node')))
  platforms.forEach(pack)
  pack(stageMain(platforms.map((folder) => readJson(folder))))
})

/** Puts this machine's addon and its libraries into its platform's package. */
function fillPlatform() {
  const addon = readdirSync(root).find((name) => /^node-mlx\..*\.node$/u.test(name))
  const folder = join(root, 'npm', addon.split('.')[1])
  const files = [join(root, addon), ...runtimeFiles()]
  for (const file of files) copyFileSync(file, join(folder, basename(file)))
  writeJson(folder, { ...readJson(folder), files: files.map((file) => basename(file)) })
}

/** The main package as published: without what only a checkout needs. */
function stageMain(platforms) {
  const folder = join(packages, 'node-mlx')
  mkdirSync(folder)
  const { scripts: _, devDependencies: __, napi: ___, ...manifest } = readJson(root)
  const extra = ['README.md', 'LICENSE'].filter((name) => existsSync(join(root, name)))
  for (const name of [...manifest.files, ...extra]) {
    cpSync(join(root, name), join(folder, name), { recursive: true })
  }
  const optionalDependencies = Object.fromEntries(
    platforms.map(({ name, version }) => [name, version]),
  )
  writeJson(folder, { ...manifest, optionalDependencies })
  return folder
}

function pack(folder) {
  run('npm', ['pack', '--silent', '--pack-destination', packages], { cwd: folder })
}

function readJson(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

function writeJson(folder, manifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}
