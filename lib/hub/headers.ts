// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// As much of a model as tells what it is and needs: its configs, and the headers of its weights.

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeMlxError } from '../errors'
import type { HubClient } from './client'
import type { RepoFile } from './files'

/** As src/weights/header.rs has it. */
const MAX_HEADER_BYTES = 100_000_000

const CONFIGS: ReadonlySet<string> = new Set([
  'config.json',
  'generation_config.json',
  'model.safetensors.index.json',
])

/** Whether this file tells something of the model. */
export function isDescriptive({ name }: Pick<RepoFile, 'name'>): boolean {
  return CONFIGS.has(name) || isWeights(name)
}

/**
 * Calls `use` with a folder in which files of weights have their size, but of their contents only the header, and
 * so take no space. It is gone afterwards.
 */
export async function withHeaders<T>(
  client: HubClient,
  commit: string,
  files: readonly RepoFile[],
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'node-mlx-'))
  try {
    await Promise.all(
      files.map(async ({ name, size }) => {
        const path = join(folder, name)
        const wanted = isWeights(name)
          ? (start: Buffer) => headerEnd(start, name, size)
          : () => size
        await writeFile(path, await client.readStart(commit, name, size, wanted))
        await truncate(path, size)
      }),
    )
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function isWeights(name: string): boolean {
  return /^model[^/]*\.safetensors$/u.test(name)
}

/** Where the header of a safetensors file ends, as far as its start tells. */
function headerEnd(start: Buffer, name: string, size: number): number {
  if (start.length < 8) return 8
  const length = start.readBigUInt64LE()
  if (length <= Math.min(MAX_HEADER_BYTES, size - 8)) return 8 + Number(length)
  throw new NodeMlxError('ERR_WEIGHTS_INVALID', `${name}: claims a header of ${length} bytes`, {
    details: { file: name },
  })
}
