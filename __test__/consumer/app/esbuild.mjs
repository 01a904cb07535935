// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Bundles with the options in ./options.mjs. Arguments: the format, the entry, the bundle.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const [format, entry, outfile] = process.argv.slice(2)
const { default: options } = await import(pathToFileURL(resolve('options.mjs')))
await build({ ...options, format, entryPoints: [entry], outfile })
