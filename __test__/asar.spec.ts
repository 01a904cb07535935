// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Paths into the archive of an Electron app. __test__/electron has an archive that Electron reads.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadModel } from '../lib'
import { isPacked } from '../lib/asar'
import { llama, root } from './helpers/models'

const folder = mkdtempSync(join(tmpdir(), 'node-mlx-asar-'))
const packed = join(folder, 'app.asar/model')

beforeAll(() => {
  writeFileSync(join(folder, 'app.asar'), '')
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

test('the error of a model in an archive says so', async () => {
  await expect(loadModel(packed)).rejects.toMatchObject({
    code: 'ERR_MODEL_NOT_FOUND',
    message: expect.stringContaining('lies in an asar archive') as unknown,
    details: { path: packed },
  })
})

test('a path into an archive leads to the model that is unpacked', async () => {
  const unpacked = join(folder, 'app.asar.unpacked/model')
  mkdirSync(join(folder, 'app.asar.unpacked'))
  cpSync(llama, unpacked, { recursive: true })
  await using model = await loadModel(packed)
  expect(model.path).toBe(unpacked)
})

test('only a file is an archive', async () => {
  expect(isPacked(join(root, 'package.json'))).toBe(false)
  mkdirSync(join(folder, 'folder.asar'))
  await expect(loadModel(join(folder, 'folder.asar/model'))).rejects.toThrow(/no model folder/u)
})
