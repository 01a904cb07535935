// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { demoModel, root } from './helpers/models'

const programs = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'))

test.each(programs)('examples/%s runs', async (name) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(root, 'examples', name),
    demoModel,
  ])
  expect(stdout.length).toBeGreaterThan(10)
})
