// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import type { Hub } from './hub-server'
import { root } from './models'

/** With mlx-lm and huggingface_hub. */
export const PYTHON = process.env['NODE_MLX_ORACLE'] ?? join(root, 'target/oracle/bin/python')

/** What a program prints. */
export async function python(
  hub: Hub,
  program: string,
  env: Record<string, string> = {},
): Promise<string> {
  const child = start(hub, program, env)
  const status = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  expect(await status, stderr).toBe(0)
  return stdout.trim()
}

/** Starts a program with the Hub of the test, and its cache. */
export function start(
  hub: Hub,
  program: string,
  env: Record<string, string> = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const { HOME, PATH } = process.env
  const { cacheDir, endpoint } = hub.options
  return spawn(PYTHON, ['-c', program], {
    env: { HOME, PATH, HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
