// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads only what describes a model: its configs, and the headers of its weight files.

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeMlxError } from '../errors'
import type { HubClient } from './client'
import type { RepoFile } from './files'

/** As in src/weights/header.rs. */
const MAX_HEADER_BYTES = 100_000_000
/** As in src/models/config.rs, which rejects a larger config without reading it. */
const MAX_CONFIG_BYTES = 64 * 2 ** 20

const CONFIGS: ReadonlySet<string> = new Set([
  'config.json',
  'generation_config.json',
  'model.safetensors.index.json',
])

/** Whether this file describes the model. */
export function isDescriptive({ name }: Pick<RepoFile, 'name'>): boolean {
  return CONFIGS.has(name) || isWeights(name)
}

/** Calls `use` with a temporary folder, which is deleted afterwards. */
export async function inTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'node-mlx-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Writes a config or a weight file to the folder. A weight file is sparse: only its header is downloaded. */
export async function fetchDescription(
  client: HubClient,
  commit: string,
  { name, size }: RepoFile,
  folder: string,
): Promise<void> {
  const path = join(folder, name)
  const configEnd = size > MAX_CONFIG_BYTES ? 0 : size
  const wanted = isWeights(name) ? (start: Buffer) => headerEnd(start, name, size) : () => configEnd
  await writeFile(path, await client.readStart(commit, name, size, wanted))
  await truncate(path, size)
}

function isWeights(name: string): boolean {
  return /^model[^/]*\.safetensors$/u.test(name)
}

/** Returns the end of a safetensors header, or of its length field if `start` does not contain that yet. */
function headerEnd(start: Buffer, name: string, size: number): number {
  if (start.length < 8) return Math.min(8, size)
  const length = start.readBigUInt64LE()
  if (length <= Math.min(MAX_HEADER_BYTES, size - 8)) return 8 + Number(length)
  throw new NodeMlxError(
    'ERR_WEIGHTS_INVALID',
    `${name}: invalid header length of ${length} bytes`,
    {
      details: { file: name },
    },
  )
}
