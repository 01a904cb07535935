// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Unpacks zip files of less than 4 GiB whose hash has been verified.

import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createInflateRaw } from 'node:zlib'

const END = 0x06_05_4b_50
const END_BYTES = 22
const ENTRY_BYTES = 46
const HEADER_BYTES = 30
const LONGEST_COMMENT = 0xff_ff
const STORED = 0

interface Entry {
  name: string
  method: number
  /** Of the compressed data, in bytes. */
  size: number
  /** Where the entry's own header begins. */
  offset: number
}

/** Unpacks the files for which `place` returns a path. */
export async function unzip(
  path: string,
  place: (name: string) => string | undefined,
): Promise<void> {
  const file = await open(path)
  try {
    for (const entry of await readEntries(file)) {
      const target = place(entry.name)
      if (target !== undefined) await unpack(path, file, entry, target)
    }
  } finally {
    await file.close()
  }
}

async function readEntries(file: FileHandle): Promise<Entry[]> {
  const { size } = await file.stat()
  const start = Math.max(0, size - END_BYTES - LONGEST_COMMENT)
  const tail = await readAt(file, start, size - start)
  let at = tail.length - END_BYTES
  while (at >= 0 && tail.readUInt32LE(at) !== END) at -= 1
  if (at < 0) throw new Error('the zip file has no end')
  const directory = await readAt(file, tail.readUInt32LE(at + 16), tail.readUInt32LE(at + 12))
  const entries: Entry[] = []
  for (let position = 0; position < directory.length;) {
    const nameEnd = position + ENTRY_BYTES + directory.readUInt16LE(position + 28)
    entries.push({
      name: directory.toString('utf8', position + ENTRY_BYTES, nameEnd),
      method: directory.readUInt16LE(position + 10),
      size: directory.readUInt32LE(position + 20),
      offset: directory.readUInt32LE(position + 42),
    })
    position =
      nameEnd + directory.readUInt16LE(position + 30) + directory.readUInt16LE(position + 32)
  }
  return entries
}

async function unpack(path: string, file: FileHandle, entry: Entry, target: string): Promise<void> {
  const header = await readAt(file, entry.offset, HEADER_BYTES)
  const names = header.readUInt16LE(26) + header.readUInt16LE(28)
  const start = entry.offset + HEADER_BYTES + names
  await mkdir(dirname(target), { recursive: true })
  if (entry.size === 0) return writeFile(target, '')
  const output = createWriteStream(target)
  const input = createReadStream(path, { start, end: start + entry.size - 1 })
  if (entry.method === STORED) await pipeline(input, output)
  else await pipeline(input, createInflateRaw(), output)
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  if (bytesRead !== length) throw new Error('the zip file is too short')
  return buffer
}
