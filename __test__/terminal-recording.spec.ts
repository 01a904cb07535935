// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { root, scratch } from './helpers/models'

const RECORD = join(root, 'tools/terminal-recording/record.mjs')

test.skipIf(process.platform === 'win32')('records a chat, and draws it', async () => {
  const folder = mkdtempSync(join(scratch(), 'recording-'))
  await promisify(execFile)(process.execPath, [RECORD, folder, '2'])
  const [header, ...events] = readFileSync(join(folder, 'chat.cast'), 'utf8').trim().split('\n')
  expect(JSON.parse(header as string)).toMatchObject({ version: 2, width: 80, height: 24 })
  const parsed = events.map((line) => JSON.parse(line) as [number, 'o', string])
  const times = parsed.map(([time]) => time)
  expect(times).toEqual(times.toSorted((a, b) => a - b))
  expect(parsed.map(([, , text]) => text).join('')).toMatch(/\/help[^]*= 42\.[^]*is Ada\./u)

  const svg = readFileSync(join(folder, 'chat.svg'), 'utf8')
  const lastScreen = [...svg.matchAll(/<text [^>]*class="(\w+)">([^<]*)/gu)]
  expect(lastScreen.map(([, style, text]) => [style, text])).toEqual(
    expect.arrayContaining([
      ['bold', 'models/demo'],
      ['text', '&gt; What is 17 + 25?'],
      ['dim', 'So 17 + 25 = 42.'],
      ['text', 'Your name is Ada.'],
    ]) as unknown,
  )
  expect(svg).toMatch(/&gt; What[^<]*<set [^>]*to="(?:visible|hidden)"/u)
})
