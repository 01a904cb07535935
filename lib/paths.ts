// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, resolve } from 'node:path'
import { outsideArchive } from './asar'
import { invalidArgument } from './errors'
import { show } from './options'

/** Replaces a leading `~` with the user's home folder. */
export function expandHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/u, homedir().replaceAll('$', '$$$$'))
}

export function checkIdOrPath(idOrPath: string): void {
  if (typeof idOrPath === 'string' && idOrPath !== '' && !idOrPath.includes('\0')) return
  throw invalidArgument('idOrPath', `expected a folder path or 'owner/name', got ${show(idOrPath)}`)
}

/**
 * Returns the local folder, or `undefined` for an `owner/name` that is not the path of a folder.
 * @throws ERR_MODEL_NOT_FOUND if it is in an asar archive
 */
export async function findLocal(idOrPath: string): Promise<string | undefined> {
  return (await isPath(idOrPath)) ? outsideArchive(resolve(expandHome(idOrPath))) : undefined
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function isPath(idOrPath: string): Promise<boolean> {
  return (
    /^(?:[./~]|[a-z]:)/iu.test(idOrPath) ||
    isAbsolute(idOrPath) ||
    idOrPath.split('/').length !== 2 ||
    isFolder(idOrPath)
  )
}
