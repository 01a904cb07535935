// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import * as http from 'node:http'
import { downloadModel } from '../hub'
import { listModels, Repository, type CachedModel } from '../hub/cache'
import { checkId } from '../hub/files'
import { hubCache } from '../hub/settings'
import { findAdapter } from '../adapter'
import type { Arguments } from './args'
import { formatBytes } from './format'
import { progressBar } from './progress'

const SHORT_COMMIT = 8

/** Downloads a model, and an adapter if one is given, and prints their folders. */
export async function pull({ operands, revision, adapter, output }: Arguments): Promise<void> {
  const id = theId(operands)
  const onProgress = progressBar()
  useProxies()
  const adapterPath = await findAdapter({ adapter, onProgress })
  const path = await downloadModel(id, { revision, onProgress })
  if (output.json) console.log(JSON.stringify({ id, path, adapterPath }))
  else console.log(adapterPath ? `${path}\n${adapterPath}` : path)
}

/** Lists the cached models: name, size, revisions. */
export async function list({ operands, output }: Arguments): Promise<void> {
  if (operands.length > 0) throw new Error('ls takes no arguments')
  const cacheDir = hubCache()
  const models = await listModels(cacheDir)
  if (output.json) {
    console.log(JSON.stringify(models))
    return
  }
  if (models.length === 0) console.error(`no models in ${cacheDir}`)
  const width = Math.max(0, ...models.map(({ id }) => id.length))
  for (const model of models) {
    const size = formatBytes(model.size).padStart(10)
    console.log(`${model.id.padEnd(width)}  ${size}  ${describe(model)}`.trimEnd())
  }
}

function describe({ revisions, unfinished }: CachedModel): string {
  const names = Object.entries(revisions).map(([name, commit]) =>
    name === commit ? name.slice(0, SHORT_COMMIT) : name,
  )
  if (unfinished > 0) names.push(`(${formatBytes(unfinished)} unfinished)`)
  return names.join(', ')
}

/** Deletes a model from the cache, and prints the number of bytes freed. */
export async function remove({ operands, output }: Arguments): Promise<void> {
  const id = theId(operands)
  checkId(id)
  const cacheDir = hubCache()
  const freed = await new Repository(cacheDir, id).remove()
  if (freed === undefined) throw new Error(`${id} is not in ${cacheDir}`)
  console.log(output.json ? JSON.stringify({ id, freed }) : `${formatBytes(freed)} freed`)
}

/** Makes this process use the proxies named in the environment, as Python does, if this version of Node can. */
export function useProxies(): void {
  const { setGlobalProxyFromEnv } = http as { setGlobalProxyFromEnv?: () => void }
  const isNamed = Object.keys(process.env).some((name) => /^https?_proxy$/iu.test(name))
  if (!isNamed || setGlobalProxyFromEnv === undefined) return
  try {
    setGlobalProxyFromEnv()
  } catch {
    // The original error would quote the address, including its password.
    throw new Error(
      'HTTP_PROXY, HTTPS_PROXY: expected an address such as http://proxy.example:3128',
    )
  }
  process.env['NODE_USE_ENV_PROXY'] = '1'
}

function theId(operands: readonly string[]): string {
  const [id] = operands
  if (id === undefined || operands.length > 1) {
    throw new Error('expected the name of one model, such as mlx-community/Qwen3-0.6B-4bit')
  }
  return id
}
