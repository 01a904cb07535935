// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Loads a model once with node-mlx: one line of JSON, as load.py has it.
//
// usage: load-once.mjs FOLDER

import { loadModel, memoryUsage } from 'node-mlx'

const KIB = 1024

const [folder] = process.argv.slice(2)
const before = process.memoryUsage().rss
const start = performance.now()
const model = await loadModel(folder)
const seconds = (performance.now() - start) / 1000
// In kibibytes, on every system.
const rss = process.resourceUsage().maxRSS * KIB - before
const { peak } = await memoryUsage()
console.log(JSON.stringify({ seconds, rss, peak, held: model.memoryUsage }))
await model.dispose()
