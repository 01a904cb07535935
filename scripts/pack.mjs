// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run pack`: makes the tarballs to publish, in target/packages: node-mlx, and the package with this machine's addon.
// `npm run pack -- --all`, on Linux x64, makes those of all platforms but Windows, and checks them.

import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crossBuild, hostTriple, ownFiles } from './build-steps.mjs'
import { PACKAGES, stage } from './packages.mjs'
import { prepare } from './prepare.mjs'
import { Failure, readJson, root, run, script, targetDir } from './shared.mjs'
import { findTarball, packages, tarballPath } from './tarballs.mjs'

await script(() => {
  const all = process.argv.includes('--all')
  prepare()
  rmSync(packages, { recursive: true, force: true })
  mkdirSync(packages, { recursive: true })
  const host = hostTriple()
  const wanted = PACKAGES.filter(({ triple, os, from }) => {
    return all ? os !== 'win32' : triple === host && !from
  })
  const files = new Map([[host, ownFiles()]])
  for (const { triple } of wanted) if (!files.has(triple)) files.set(triple, crossBuild(triple))
  const folders = wanted.map((item) => stage(item, packages, files.get(item.triple)))
  folders.push(stageMain(wanted))
  if (all) python('scripts/cross/check.py', ...folders)
  for (const folder of folders) {
    run('npm', ['pack', '--silent', '--pack-destination', packages], { cwd: folder })
    const { name, version } = readJson(folder)
    if (all) python('scripts/cross/compress.py', tarballPath(name, version))
    // A tarball may not be larger than the committed limit.
    const { problem } = findTarball(name, version)
    if (problem) throw new Failure(problem)
  }
})

/** Runs a script with the packages of scripts/cross/toolchain.py. */
function python(...args) {
  run(join(targetDir, 'cross/python/bin/python'), args)
}

/** The main package as published: without what only a checkout needs. */
function stageMain(wanted) {
  const folder = join(packages, 'node-mlx')
  mkdirSync(folder)
  const { scripts: _, devDependencies: __, napi: ___, ...manifest } = readJson(root)
  const extra = ['README.md', 'LICENSE'].filter((name) => existsSync(join(root, name)))
  for (const name of [...manifest.files, ...extra]) {
    cpSync(join(root, name), join(folder, name), { recursive: true })
  }
  const versions = (items) => {
    return Object.fromEntries(items.map(({ name }) => [name, manifest.version]))
  }
  // Package managers that keep packages apart let node-mlx find only what it names.
  const extras = PACKAGES.filter(({ from }) => from)
  const text = JSON.stringify(
    {
      ...manifest,
      optionalDependencies: versions(wanted.filter(({ from }) => !from)),
      peerDependencies: { ...manifest.peerDependencies, ...versions(extras) },
      peerDependenciesMeta: {
        ...manifest.peerDependenciesMeta,
        ...Object.fromEntries(extras.map(({ name }) => [name, { optional: true }])),
      },
    },
    null,
    2,
  )
  writeFileSync(join(folder, 'package.json'), `${text}\n`)
  return folder
}
