// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads one file to its blob. Partial files of earlier attempts are resumed, and a file becomes a blob only once
// its hash is verified. Every attempt has its own file, so two attempts that hold the same lock by mistake cannot
// corrupt each other.

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fill } from '../transfer/partial'
import { hasFile, type Repository } from './cache'
import type { HubClient } from './client'
import type { RepoFile } from './files'
import { withLock } from './lock'

const SUFFIX = '.incomplete'

/** The context of a file download. */
export interface Job {
  commit: string
  client: HubClient
  repository: Repository
  signal: AbortSignal
  /** Called with the number of bytes of the file downloaded so far. */
  report: (file: RepoFile, loaded: number) => void
}

/** Downloads a file to its blob, unless the cache has it. */
export async function downloadBlob(file: RepoFile, job: Job): Promise<void> {
  const { commit, client } = job
  const { name, size } = file
  const blob = job.repository.blob(file.hash)
  if (!(await hasFile(blob, size))) {
    await mkdir(dirname(blob), { recursive: true })
    await withLock(job.repository.lock(file.hash), job.signal, async () => {
      while (!(await hasFile(blob, size))) {
        const partial = await claimPartial(blob)
        await fill(partial, file, {
          server: client.server,
          read: (offset) => client.read(commit, name, offset, size),
          report: (loaded) => job.report(file, loaded),
          corrupt: (problem) => client.corrupt(name, problem),
        })
        await publish(partial, blob)
      }
    })
  }
  job.report(file, size)
}

/** Renames the partial file of an earlier attempt, if there is one, to a new name. Returns that name. */
async function claimPartial(blob: string): Promise<string> {
  const own = `${blob}.node-mlx-${randomUUID().slice(0, 8)}${SUFFIX}`
  for (const left of await partials(blob)) {
    const isOurs = await rename(left, own).then(
      () => true,
      () => false,
    )
    if (isOurs) break
  }
  return own
}

async function publish(partial: string, blob: string): Promise<void> {
  try {
    await rename(partial, blob)
  } catch (error) {
    // Another process took it over; the caller checks the blob again.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (await hasFile(blob)) {
    await Promise.all((await partials(blob)).map((left) => rm(left, { force: true })))
  }
}

async function partials(blob: string): Promise<string[]> {
  const start = `${basename(blob)}.node-mlx-`
  const entries = await readdir(dirname(blob), { withFileTypes: true })
  return entries
    .filter(
      (entry) => entry.isFile() && entry.name.startsWith(start) && entry.name.endsWith(SUFFIX),
    )
    .map(({ name }) => join(dirname(blob), name))
}
