// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Downloads NVIDIA's libraries and headers, without Python.

import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { fetchWheel } from './download'
import { installFolder } from './find'
import { WHEELS, type Wheel } from './wheels'
import { unzip } from './zip'

/** What {@link installCuda} does otherwise than by default, for tests. */
export interface InstallOptions {
  wheels?: readonly Wheel[]
  /** Called with the bytes downloaded so far, and those of all wheels. */
  onProgress?: (loaded: number, total: number) => void
}

/**
 * Downloads what is not in the folder yet, and returns the folder. Goes on where an earlier download ended. The
 * environment variable `PIP_INDEX_URL` selects another index.
 *
 * @throws ERR_DOWNLOAD_FAILED, ERR_DOWNLOAD_CORRUPT
 */
export async function installCuda({
  wheels = WHEELS,
  onProgress,
}: InstallOptions = {}): Promise<string> {
  const folder = installFolder()
  const total = wheels.reduce((sum, { size }) => sum + size, 0)
  let before = 0
  for (const wheel of wheels) {
    const marker = join(folder, 'wheels', wheel.file)
    const start = before
    if (!existsSync(marker)) {
      await mkdir(join(folder, 'wheels'), { recursive: true })
      const path = `${marker}.incomplete`
      await fetchWheel(wheel, path, (loaded) => onProgress?.(start + loaded, total))
      await unzip(path, (name) => place(folder, wheel, name))
      // An empty file says that the wheel has been unpacked.
      await writeFile(marker, '')
      await rm(path)
    }
    before += wheel.size
    onProgress?.(before, total)
  }
  return folder
}

/** Where a file of a wheel belongs: libraries, headers and licenses, each in one folder. */
function place(folder: string, wheel: Wheel, name: string): string | undefined {
  const library = /^nvidia\/\w+\/lib\/([\w.-]+\.so[\d.]*)$/u.exec(name)?.[1]
  if (library !== undefined) return join(folder, 'lib', library)
  const header = /^nvidia\/\w+\/(include\/.+)$/u.exec(name)?.[1]
  if (header !== undefined && posix.normalize(header) === header) return join(folder, header)
  return /\/licenses\/[^/]+$/u.test(name) ? join(folder, `LICENSE-${wheel.name}.txt`) : undefined
}
