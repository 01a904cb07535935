// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads one file to its blob. Partial files of earlier attempts are resumed, and a file becomes a blob only once
// its hash is verified. Every attempt writes to its own file, at explicit positions, so two attempts that hold the
// same lock by mistake cannot corrupt each other.

import { createHash, randomUUID, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NodeMlxError } from '../errors'
import { hasFile, type Repository } from './cache'
import { isTransient, RETRIES, type HubClient } from './client'
import type { RepoFile } from './files'
import { withLock } from './lock'

const SUFFIX = '.incomplete'
const READ_BYTES = 2 ** 20
/** A corrupt file is downloaded again once. */
const MAX_STARTS = 2
/** O_NOFOLLOW: another user of a shared cache could leave a link to a file that only this user may write to. */
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/** The context of a file download. */
export interface Job {
  id: string
  commit: string
  client: HubClient
  repository: Repository
  signal: AbortSignal
  /** Called with the number of bytes of the file downloaded so far. */
  report: (file: RepoFile, loaded: number) => void
}

/** Downloads a file to its blob, unless the cache has it. */
export async function downloadBlob(file: RepoFile, job: Job): Promise<void> {
  const blob = job.repository.blob(file.hash)
  if (!(await hasFile(blob, file.size))) {
    await mkdir(dirname(blob), { recursive: true })
    await withLock(job.repository.lock(file.hash), job.signal, async () => {
      while (!(await hasFile(blob, file.size))) {
        const partial = await claimPartial(blob)
        await fill(partial, file, job)
        await publish(partial, blob)
      }
    })
  }
  job.report(file, file.size)
}

async function fill(path: string, file: RepoFile, job: Job): Promise<void> {
  for (let starts = 1; ; starts += 1) {
    const partial = await openPartial(path)
    try {
      await receive(partial, file, job)
      await partial.sync()
      return
    } catch (error) {
      const isCorrupt = error instanceof NodeMlxError && error.code === 'ERR_DOWNLOAD_CORRUPT'
      if (isCorrupt || (await partial.stat()).size === 0) await rm(path, { force: true })
      if (!isCorrupt || starts === MAX_STARTS) throw error
    } finally {
      await partial.close()
    }
  }
}

async function openPartial(path: string): Promise<FileHandle> {
  try {
    return await open(path, OPEN_FLAGS, 0o666)
  } catch (error) {
    // A partial file of another user in a shared cache may be renamed and removed, but not written to.
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await rm(path, { force: true })
    return open(path, OPEN_FLAGS, 0o666)
  }
}

/** Downloads the missing part, and verifies the whole file. */
async function receive(partial: FileHandle, file: RepoFile, job: Job): Promise<void> {
  const { name, size } = file
  const hash = startHash(file)
  let loaded = await readInto(hash, partial, job.signal)
  let failures = 0
  while (loaded < size) {
    job.report(file, loaded)
    const before = loaded
    try {
      for await (const chunk of job.client.read(job.commit, name, loaded, size)) {
        if (loaded + chunk.length > size) throw corrupt(file, job, 'it is longer than expected')
        await writeAt(partial, chunk, loaded)
        hash.update(chunk)
        loaded += chunk.length
        job.report(file, loaded)
      }
      if (loaded === before) throw corrupt(file, job, 'it is shorter than expected')
    } catch (error) {
      if (loaded > before) failures = 0
      if (failures === RETRIES || !isTransient(error)) throw error
      await job.client.pause(failures, error)
      failures += 1
    }
  }
  if (loaded !== size || hash.digest('hex') !== file.hash) {
    throw corrupt(file, job, 'its hash differs from the one listed by the Hub')
  }
}

/** Starts the SHA-256 of a file, or its git hash. */
function startHash({ hash, size }: RepoFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/** Hashes the existing part of a file, and returns its length. */
async function readInto(hash: Hash, file: FileHandle, signal: AbortSignal): Promise<number> {
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  for (let position = 0; ;) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, position)
    if (bytesRead === 0) return position
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
  }
}

async function writeAt(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const rest = chunk.length - written
    written += (await file.write(chunk, written, rest, position + written)).bytesWritten
  }
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

function corrupt({ name }: RepoFile, { id }: Job, problem: string): NodeMlxError {
  return new NodeMlxError(
    'ERR_DOWNLOAD_CORRUPT',
    `${id}: the download of ${name} is corrupt: ${problem}`,
    {
      details: { id, file: name },
    },
  )
}
