// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Fills a file that an earlier attempt may have begun, and verifies it. It is written at explicit positions, so two
// attempts that write to one file by mistake do not corrupt it.

import { createHash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { NodeMlxError } from '../errors'
import type { Part, Server } from './request'
import { Retries } from './retry'

const READ_BYTES = 2 ** 20
/** A corrupt file is downloaded again once. */
const MAX_STARTS = 2
/** O_NOFOLLOW: another user of a shared cache could leave a link to a file that only this user may write to. */
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/** What a file must be. */
export interface Expected {
  /** In bytes. */
  size: number
  /** SHA-256, or git hash. */
  hash: string
}

/** Where the bytes come from. */
export interface Source {
  server: Server
  /** Requests the file from byte `offset`, without retries. */
  read: (offset: number) => Promise<Part>
  /** Called with the number of bytes so far. */
  report: (loaded: number) => void
  /** Makes the error for a file that is not as expected, ERR_DOWNLOAD_CORRUPT. */
  corrupt: (problem: string) => NodeMlxError
}

/** Completes the file at this path. What was received is kept if the download fails, unless it is corrupt. */
export async function fill(path: string, expected: Expected, source: Source): Promise<void> {
  for (let starts = 1; ; starts += 1) {
    const partial = await openPartial(path)
    try {
      await receive(partial, expected, source)
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
async function receive(partial: FileHandle, expected: Expected, source: Source): Promise<void> {
  const { size } = expected
  const { server, report, corrupt } = source
  const retries = new Retries(server)
  let hash = startHash(expected)
  let loaded = await readInto(hash, partial, server.signal)
  let furthest = loaded
  while (loaded < size) {
    report(loaded)
    try {
      const { start, chunks } = await source.read(loaded)
      if (start !== loaded) hash = startHash(expected)
      loaded = start
      for await (const chunk of chunks) {
        if (loaded + chunk.length > size) throw corrupt('it is longer than expected')
        await writeAt(partial, chunk, loaded)
        hash.update(chunk)
        loaded += chunk.length
        report(loaded)
      }
      if (loaded <= furthest) throw corrupt('it is shorter than expected')
    } catch (error) {
      if (loaded > furthest) retries.reset()
      await retries.next(error)
    }
    furthest = Math.max(furthest, loaded)
  }
  if (loaded !== size || hash.digest('hex') !== expected.hash)
    throw corrupt('its hash differs from the expected one')
}

/** Starts the SHA-256 of a file, or its git hash. */
function startHash({ hash, size }: Expected): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/** Hashes the existing part of a file, and returns its length. */
async function readInto(hash: Hash, file: FileHandle, signal?: AbortSignal): Promise<number> {
  const buffer = Buffer.allocUnsafe(READ_BYTES)
  for (let position = 0; ;) {
    signal?.throwIfAborted()
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
