// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The cache as huggingface_hub lays it out:
//   models--owner--name/refs/<revision>            the commit of a branch or tag
//   models--owner--name/snapshots/<commit>/<file>  links to blobs
//   models--owner--name/blobs/<hash>               contents
//   models--owner--name/trees/<commit>.json        which files a commit has

import { randomUUID } from 'node:crypto'
import {
  lstat,
  copyFile,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { isCommit, type RepoFile } from './files'

const LIST_FORMAT = 1

type ListedFile = Pick<RepoFile, 'name' | 'size'>

/** A model in the cache. */
export interface CachedModel {
  id: string
  /** Its folder in the cache. */
  path: string
  /** Bytes on disk. */
  size: number
  /** Branches and tags that were asked for, and the commits that they stood for. */
  revisions: Record<string, string>
}

/** One repository's folder in the cache. */
export class Repository {
  readonly path: string
  readonly #locks: string

  constructor(cacheDir: string, id: string) {
    const name = `models--${id.replaceAll('/', '--')}`
    this.path = join(cacheDir, name)
    this.#locks = join(cacheDir, '.locks', name)
  }

  blob(hash: string): string {
    return join(this.path, 'blobs', hash)
  }

  snapshot(commit: string): string {
    return join(this.path, 'snapshots', commit)
  }

  /** Apart from huggingface_hub's locks, which are of another kind. */
  lock(hash: string): string {
    return join(this.#locks, `${hash}.node-mlx.lock`)
  }

  /** The commit that a branch or tag last stood for. */
  async readRef(revision: string): Promise<string | undefined> {
    const commit = await readText(join(this.path, 'refs', revision))
    return commit !== undefined && isCommit(commit.trim()) ? commit.trim() : undefined
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.readRef(revision)) === commit) return
    await writeWhole(join(this.path, 'refs', revision), commit)
  }

  /** The files that a model needs of a commit, if they were ever listed. */
  async readList(commit: string): Promise<ListedFile[] | undefined> {
    return (
      (await this.#readList(`${commit}.node-mlx.json`)) ?? (await this.#readList(`${commit}.json`))
    )
  }

  /**
   * Notes what a model needs of a commit. huggingface_hub's own list has all of its files: a shorter one there
   * would keep Python from fetching the rest, and the whole would make it refuse what lacks them.
   */
  async writeList(commit: string, files: readonly RepoFile[]): Promise<void> {
    const list = {
      format_version: LIST_FORMAT,
      files: Object.fromEntries(
        files.map(({ name, size, hash }) => [name, { size, blob_id: hash }]),
      ),
    }
    await writeWhole(
      join(this.path, 'trees', `${commit}.node-mlx.json`),
      JSON.stringify(list, undefined, 1),
    )
  }

  async #readList(file: string): Promise<ListedFile[] | undefined> {
    try {
      const text = await readFile(join(this.path, 'trees', file), 'utf8')
      const list = JSON.parse(text) as {
        format_version: number
        files: Record<string, { size: number }>
      }
      if (list.format_version !== LIST_FORMAT) return undefined
      return Object.entries(list.files).map(([name, { size }]) => ({ name, size }))
    } catch {
      return undefined
    }
  }

  /** Makes a blob appear under its name in a snapshot, all at once. */
  async link(hash: string, commit: string, name: string, symlinks: boolean): Promise<void> {
    const blob = this.blob(hash)
    const path = join(this.snapshot(commit), name)
    await mkdir(dirname(path), { recursive: true })
    const temporary = `${blob}.${randomUUID().slice(0, 8)}.tmp`
    try {
      await (symlinks ? symlink(relative(dirname(path), blob), temporary) : link(blob, temporary))
        // Not every file system has links, and not every user may make them.
        .catch(() => copyFile(blob, temporary))
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Takes the model out of the cache; gives the bytes that are free then, `undefined` if it is not there. */
  async remove(): Promise<number | undefined> {
    if (!(await isFolder(this.path))) return undefined
    // What links to the blobs that models share stays there.
    const size = await sizeOf(join(this.path, 'blobs'), lstat)
    await rm(this.path, { recursive: true, force: true })
    await rm(this.#locks, { recursive: true, force: true })
    return size
  }
}

/** The models in the cache, by name. */
export async function listModels(cacheDir: string): Promise<CachedModel[]> {
  const folders = (await readdir(cacheDir).catch(() => [])).filter((name) =>
    /^models--[^-].*--/u.test(name),
  )
  return Promise.all(
    folders.toSorted().map(async (folder) => {
      const path = join(cacheDir, folder)
      return {
        id: folder.slice('models--'.length).replace('--', '/'),
        path,
        size: await sizeOf(join(path, 'blobs')),
        revisions: await readRefs(join(path, 'refs')),
      }
    }),
  )
}

/** Whether this is a file, or links to one; of that size, if one is given. */
export async function hasFile(path: string, size?: number): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && (size === undefined || found.size === size),
    () => false,
  )
}

/** Whether a snapshot has this file. One that is no link into the blobs is a copy, or somebody's own, and stays as it is. */
export async function hasEntry(path: string, size?: number): Promise<boolean> {
  const isOwn = await lstat(path).then(
    (found) => found.isFile(),
    () => false,
  )
  return isOwn || hasFile(path, size)
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function sizeOf(folder: string, look = stat): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map(async (name) =>
      look(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function readRefs(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const refs: Record<string, string> = {}
  for (const name of names.toSorted()) {
    const commit = await readText(join(folder, name))
    if (commit !== undefined) refs[name.replaceAll('\\', '/')] = commit.trim()
  }
  return refs
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Writes a file that nobody ever sees half of. */
async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`
  try {
    await writeFile(temporary, text)
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}
