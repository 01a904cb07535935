// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run docs`: builds the site of docs/ into target/docs. Its tools have a package of their own, which nothing else
// installs.

import { join } from 'node:path'
import { installPackages } from './prepare.mjs'
import { root, run, script } from './shared.mjs'

const docs = join(root, 'docs')

await script(() => {
  installPackages()
  installPackages(docs)
  for (const [tool, ...args] of [['typedoc'], ['vitepress', 'build']])
    run(join(docs, 'node_modules/.bin', tool), args, { cwd: docs, output: 1 })
})
