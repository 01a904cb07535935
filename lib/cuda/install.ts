// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads NVIDIA's libraries and headers, without Python.

import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { isSystemError, NodeMlxError } from '../errors'
import { fetchWheel, type Limits } from './download'
import { installFolder } from './find'
import { WHEELS, type Wheel } from './wheels'
import { unzip } from './zip'

/** What {@link installCuda} does otherwise than by default, for tests. */
export interface InstallOptions {
  wheels?: readonly Wheel[]
  limits?: Limits
  /** Called with the bytes downloaded so far, and those of all wheels. */
  onProgress?: (loaded: number, total: number) => void
}

/**
 * Downloads what is not in the folder yet, and returns the folder. Goes on where an earlier download ended. The
 * environment variable `PIP_INDEX_URL` selects another index.
 *
 * @throws ERR_DOWNLOAD_FAILED, ERR_DOWNLOAD_CORRUPT, ERR_INVALID_ARG_VALUE for that variable
 */
export async function installCuda(options: InstallOptions = {}): Promise<string> {
  const folder = installFolder()
  try {
    await install(folder, options)
    return folder
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new NodeMlxError('ERR_DOWNLOAD_FAILED', `NVIDIA's libraries: ${error.message}`, {
      cause: error,
      details: { folder },
    })
  }
}

async function install(
  folder: string,
  { wheels = WHEELS, limits, onProgress }: InstallOptions,
): Promise<void> {
  const total = wheels.reduce((sum, { size }) => sum + size, 0)
  let before = 0
  for (const wheel of wheels) {
    const marker = join(folder, 'wheels', wheel.file)
    const start = before
    if (!existsSync(marker)) {
      await mkdir(join(folder, 'wheels'), { recursive: true })
      const path = `${marker}.incomplete`
      await fetchWheel(wheel, path, (loaded) => onProgress?.(start + loaded, total), limits)
      await unzip(path, (name) => place(folder, wheel, name))
      // An empty file says that the wheel has been unpacked.
      await writeFile(marker, '')
      await rm(path)
    }
    before += wheel.size
    onProgress?.(before, total)
  }
}

/** Where a file of a wheel belongs: libraries, headers and licenses, each in one folder. */
function place(folder: string, wheel: Wheel, name: string): string | undefined {
  const library = /^nvidia\/\w+\/lib\/([\w.-]+\.so[\d.]*)$/u.exec(name)?.[1]
  if (library !== undefined) return join(folder, 'lib', library)
  const header = /^nvidia\/\w+\/(include\/.+)$/u.exec(name)?.[1]
  if (header !== undefined && posix.normalize(header) === header) return join(folder, header)
  return /\/licenses\/[^/]+$/u.test(name) ? join(folder, `LICENSE-${wheel.name}.txt`) : undefined
}
