// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { homedir } from 'node:os'
import { isAbsolute, resolve } from 'node:path'
import { isFolder } from './hub/cache'

/** A path with the user's home folder in place of `~`. */
export function expandHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/u, homedir().replaceAll('$', '$$$$'))
}

/** The folder that is meant, or what `download` gives if it is `owner/name`, and not that of a folder. */
export async function locate(
  idOrPath: string,
  download: (id: string) => Promise<string>,
): Promise<string> {
  return (await isPath(idOrPath)) ? resolve(expandHome(idOrPath)) : download(idOrPath)
}

async function isPath(idOrPath: string): Promise<boolean> {
  return (
    /^(?:[./~]|[a-z]:)/iu.test(idOrPath) ||
    isAbsolute(idOrPath) ||
    idOrPath.split('/').length !== 2 ||
    isFolder(idOrPath)
  )
}
