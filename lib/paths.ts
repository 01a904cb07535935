// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, isAbsolute, resolve } from 'node:path'
import { outsideArchive } from './asar'
import { invalidArgument, NodeMlxError, type ErrorCode } from './errors'
import { show } from './options'

const GGUF = /\.gguf$/iu

/** The errors of an id that may be a mistyped path. */
const NOT_FOUND: ReadonlySet<ErrorCode> = new Set([
  'ERR_HUB_NOT_FOUND',
  'ERR_HUB_UNAUTHORIZED',
  'ERR_HUB_UNAVAILABLE',
  'ERR_OFFLINE',
])

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
 * @throws ERR_MODEL_NOT_FOUND if it is in an asar archive, or something else that looks like a model
 */
export async function findLocal(idOrPath: string): Promise<string | undefined> {
  if (!(await isPath(idOrPath))) return undefined
  const path = outsideArchive(resolve(expandHome(idOrPath)))
  const problem = (await hasGguf(path))
    ? `${path} has a model in the GGUF format, which node-mlx does not read: use the model's safetensors version`
    : await missingOwner(idOrPath, path)
  if (problem === undefined) return path
  throw new NodeMlxError('ERR_MODEL_NOT_FOUND', problem, { details: { path } })
}

/** Whether this is a GGUF file, or a folder with one and nothing that can be loaded. */
async function hasGguf(path: string): Promise<boolean> {
  const names = await readdir(path).catch(({ code }: NodeJS.ErrnoException) =>
    code === 'ENOTDIR' ? [basename(path)] : [],
  )
  return !names.some((name) => name.endsWith('.json')) && names.some((name) => GGUF.test(name))
}

/** What to say of a name that is neither a folder nor an id, if this is one. */
async function missingOwner(idOrPath: string, path: string): Promise<string | undefined> {
  if (/[/\\~]|^\.+$/u.test(idOrPath) || (await exists(path))) return undefined
  return (
    `there is no folder ${path}, and '${idOrPath}' is not a model of the Hub, whose names have an owner, as in ` +
    `'owner/${idOrPath}': look for it at https://huggingface.co/models?library=mlx`
  )
}

/** Settles like a call of the Hub for a model or an adapter that is no local folder. */
export async function explainHub<T>(id: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    if (!(error instanceof NodeMlxError && NOT_FOUND.has(error.code))) throw error
    const { code, message, details, cause } = error
    const both = `${message} (there is no folder ./${id} either)`
    throw new NodeMlxError(code, both, { details, cause })
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
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
    GGUF.test(idOrPath) ||
    isFolder(idOrPath)
  )
}
