// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { downloadModel } from '../hub'
import { listModels, Repository } from '../hub/cache'
import { checkId } from '../hub/files'
import { hubCache } from '../hub/settings'
import type { LoadProgress } from '../types'
import type { Arguments } from './args'
import { formatBytes } from './format'

/** Downloads a model, and prints its folder. */
export async function pull({ operands, revision }: Arguments): Promise<void> {
  console.log(await downloadModel(theId(operands), { revision, onProgress: showProgress }))
}

/** Prints the models of the cache: name, size, revisions. */
export async function list(): Promise<void> {
  const models = await listModels(hubCache())
  const width = Math.max(0, ...models.map(({ id }) => id.length))
  for (const { id, size, revisions } of models) {
    const names = Object.keys(revisions).join(', ')
    console.log(`${id.padEnd(width)}  ${formatBytes(size).padStart(10)}  ${names}`.trimEnd())
  }
}

/** Deletes a model from the cache, and prints how much that was. */
export async function remove({ operands }: Arguments): Promise<void> {
  const id = theId(operands)
  checkId(id)
  const cacheDir = hubCache()
  const size = await new Repository(cacheDir, id).remove()
  if (size === undefined) throw new Error(`${id} is not in ${cacheDir}`)
  console.log(`${formatBytes(size)} freed`)
}

/** Keeps a line of standard error up to date, if somebody sees it. */
export function showProgress(progress: LoadProgress): void {
  if (progress.stage !== 'download' || !process.stderr.isTTY) return
  const { loaded, total } = progress
  const isDone = loaded === total
  const line = `downloading: ${formatBytes(loaded)} of ${formatBytes(total)}`
  process.stderr.write(`\r\u001B[K${isDone ? '' : line}`)
}

function theId(operands: readonly string[]): string {
  const [id] = operands
  if (id === undefined || operands.length > 1) {
    throw new Error('give the name of one model, such as mlx-community/Qwen3-0.6B-4bit')
  }
  return id
}
