// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The folders that environments run in.

import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { installTools, tool } from './tools.mjs'

const app = join(import.meta.dirname, 'app')

/** `install`: a function that installs the packed package into a folder. */
export function makeFolders(base, install) {
  const once = new Map()
  const makers = {
    app: () => keep('app', makeApp),
    next: () => keep('next', makeNext),
    bundle: makeBundle,
    alone: makeAlone,
  }

  /** The folder of an environment, with its files. */
  return async function folderOf(name, { folder = 'app', files = {} }) {
    const path = await makers[folder](name.replaceAll(/\W+/gu, '-'))
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(path, file)), { recursive: true })
      writeFileSync(join(path, file), text)
    }
    return path
  }

  function keep(name, make) {
    if (!once.has(name)) once.set(name, make())
    return once.get(name)
  }

  async function makeApp() {
    // The tools are above it, where only what is no part of the app finds them.
    const outer = join(base, 'tools')
    const inner = join(outer, 'quick')
    mkdirSync(inner, { recursive: true })
    symlinkSync(tool('all', ''), join(outer, 'node_modules'))
    symlinkSync(tool('quick', ''), join(inner, 'node_modules'))
    const path = join(inner, 'app')
    cpSync(app, path, { recursive: true })
    await install(path)
    return path
  }

  async function makeBundle(slug) {
    const path = join(await makers.app(), slug)
    cpSync(join(app, 'esm.mjs'), join(path, 'app.mjs'))
    return path
  }

  function makeAlone(slug) {
    const path = join(base, slug)
    for (const file of ['esm.mjs', 'common.cjs', 'worker.mjs'])
      cpSync(join(app, file), join(path, file))
    writeFileSync(join(path, 'package.json'), '{ "private": true }')
    return path
  }

  /** A copy: Next.js takes no packages from outside its folder. */
  async function makeNext() {
    const path = join(base, 'next')
    cpSync(installTools('next'), path, { recursive: true, verbatimSymlinks: true })
    cpSync(join(app, 'ask.mjs'), join(path, 'ask.mjs'))
    await install(path)
    return path
  }
}
