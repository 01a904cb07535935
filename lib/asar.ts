// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A packaged Electron app is one file, `app.asar`, into which paths lead as if it was a folder. Only Electron's own
// JavaScript can read it. What lies in `app.asar.unpacked` beside it are files that everybody can read.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { NodeMlxError } from './errors'

const LIBRARY = /\.(?:node|dll|dylib|metallib|so(?:\.[\d.]+)?)$/u
const GLOB = '**/node_modules/{node-mlx,node-mlx-*}/**/*'

/** What to write into the configuration of an app. */
export const UNPACK_LINES =
  `in forge.config.js of Electron Forge: asar: { unpack: '${GLOB}' } (in packagerConfig); ` +
  `for electron-builder: asarUnpack: ['${GLOB}']`

/** Returns the path of the file in `app.asar.unpacked`, or `undefined` for a path that does not lead into an archive. */
function unpackedPath(path: string): string | undefined {
  for (const { index } of path.matchAll(/\.asar(?=[/\\])/gu)) {
    const archive = path.slice(0, index + '.asar'.length)
    if (isFile(archive)) return `${archive}.unpacked${path.slice(archive.length)}`
  }
  return undefined
}

/** Whether an addon lies in an archive, and it or a library beside it is not unpacked. */
export function isPacked(addon: string): boolean {
  const unpacked = unpackedPath(addon)
  if (unpacked === undefined) return false
  return readdirSync(dirname(addon))
    .filter((name) => LIBRARY.test(name))
    .some((name) => !existsSync(join(dirname(unpacked), name)))
}

/**
 * Returns the path of a folder as the addon can read it.
 * @throws ERR_MODEL_NOT_FOUND if it is in an archive, and not unpacked
 */
export function outsideArchive(path: string): string {
  const unpacked = unpackedPath(path)
  if (unpacked === undefined) return path
  if (existsSync(unpacked)) return unpacked
  throw new NodeMlxError(
    'ERR_MODEL_NOT_FOUND',
    `${path} lies in an asar archive, from which no model can be loaded: unpack it (with asar.unpack of Electron ` +
      'Forge or asarUnpack of electron-builder), or put it beside the archive as an extra resource',
    { details: { path } },
  )
}

/** Electron shows an archive as a folder, unless it is told not to. */
function isFile(path: string): boolean {
  const electron = process as { noAsar?: boolean }
  const { noAsar } = electron
  electron.noAsar = true
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true
  } finally {
    electron.noAsar = noAsar as boolean
  }
}
