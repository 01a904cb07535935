// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The cache, in the layout of huggingface_hub:
//   models--owner--name/refs/<revision>            the commit of a branch or tag
//   models--owner--name/snapshots/<commit>/<file>  links to blobs
//   models--owner--name/blobs/<hash>               contents
//   models--owner--name/trees/<commit>.json        the files of a commit

import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import {
  lstat,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { MAX_LIST_BYTES } from '../limits'
import { isFolder } from '../paths'
import { isCommit, isId, isSafe, type Kind, type RepoFile } from './files'

const LIST_FORMAT = 1
/** O_NONBLOCK: others may write to a shared cache, and opening a FIFO would wait for its writer. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

type ListedFile = Pick<RepoFile, 'name' | 'size'>

/** A model in the cache. */
export interface CachedModel {
  id: string
  /** Folder in the cache. */
  path: string
  /** Bytes on disk. */
  size: number
  /** Bytes of partial downloads; included in `size`. */
  unfinished: number
  /** Branches and tags with their commits; other commits under their own hash. */
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

  async hasSnapshot(commit: string): Promise<boolean> {
    return isFolder(this.snapshot(commit))
  }

  /** The lock file that huggingface_hub uses. */
  lock(hash: string): string {
    return join(this.#locks, `${hash}.lock`)
  }

  /** Returns the last known commit of a branch or tag. */
  async readRef(revision: string): Promise<string | undefined> {
    const commit = await readText(join(this.path, 'refs', revision))
    return commit !== undefined && isCommit(commit.trim()) ? commit.trim() : undefined
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.readRef(revision)) === commit) return
    await this.#write(join('refs', revision), commit)
  }

  /** Returns the needed files of a commit, possibly with others, if they were ever listed. */
  async readList(commit: string, kind: Kind): Promise<ListedFile[] | undefined> {
    return (await this.#readList(listName(commit, kind))) ?? this.#readList(`${commit}.json`)
  }

  /**
   * Saves the list of a commit's needed files, separately from huggingface_hub's own list of all files. A shorter list
   * there would keep Python from downloading the rest; a full one would make it reject an incomplete snapshot.
   */
  async writeList(commit: string, kind: Kind, files: readonly RepoFile[]): Promise<void> {
    const list = {
      format_version: LIST_FORMAT,
      files: Object.fromEntries(
        files.map(({ name, size, hash }) => [name, { size, blob_id: hash }]),
      ),
    }
    await this.#write(join('trees', listName(commit, kind)), JSON.stringify(list, undefined, 1))
  }

  async #readList(file: string): Promise<ListedFile[] | undefined> {
    try {
      const text = await readText(join(this.path, 'trees', file))
      const list = JSON.parse(text ?? '') as {
        format_version: number
        files: Record<string, { size: number }>
      }
      if (list.format_version !== LIST_FORMAT) return undefined
      return Object.entries(list.files).map(([name, { size }]) => ({ name, size }))
    } catch {
      return undefined
    }
  }

  /** Links a blob into a snapshot, atomically. */
  async link(hash: string, commit: string, name: string, symlinks: boolean): Promise<void> {
    const blob = this.blob(hash)
    const path = join(this.snapshot(commit), name)
    await mkdir(dirname(path), { recursive: true })
    const temporary = this.#temporary()
    try {
      // On Windows not every user may create symbolic links; and not every file system has links of either kind.
      const hardLink = (): Promise<void> => link(blob, temporary)
      const target = relative(dirname(path), blob)
      const linked = symlinks ? symlink(target, temporary).catch(hardLink) : hardLink()
      await linked.catch(() => copyFile(blob, temporary))
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Writes a file atomically. */
  async #write(name: string, text: string): Promise<void> {
    const path = join(this.path, name)
    await mkdir(dirname(path), { recursive: true })
    const temporary = this.#temporary()
    try {
      await writeFile(temporary, text, { flag: 'wx' })
      await rename(temporary, path)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Returns a path outside `refs`, where Python would take a leftover file for a revision. */
  #temporary(): string {
    return join(this.path, `.${randomUUID()}.tmp`)
  }

  /** Deletes the repository from the cache. Returns the bytes freed, or `undefined` if it is not there. */
  async remove(): Promise<number | undefined> {
    if (!(await isFolder(this.path))) return undefined
    // lstat: blobs that are links to storage shared between models free nothing.
    const size =
      sum(await sizesIn(join(this.path, 'blobs'), lstat)) + sum(await copiesIn(this.path))
    await rm(this.path, { recursive: true, force: true })
    await rm(this.#locks, { recursive: true, force: true })
    return size
  }
}

/** The models in the cache, by name. */
export async function listModels(cacheDir: string): Promise<CachedModel[]> {
  const folders = (await readdir(cacheDir).catch(() => [])).toSorted()
  const ids = folders.flatMap((name) => /^models--(.+)/u.exec(name)?.[1]?.replace('--', '/') ?? [])
  return Promise.all(
    ids.filter(isId).map(async (id) => {
      const { path } = new Repository(cacheDir, id)
      const blobs = await sizesIn(join(path, 'blobs'))
      const unfinished = blobs.filter(({ name }) => name.endsWith('.incomplete'))
      return {
        id,
        path,
        size: sum(blobs) + sum(await copiesIn(path)),
        unfinished: sum(unfinished),
        revisions: await readRevisions(path),
      }
    }),
  )
}

/** Whether this is a file or a link to one, with that size if `size` is given. */
export async function hasFile(path: string, size?: number): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && (size === undefined || found.size === size),
    () => false,
  )
}

/** Whether a snapshot has this file. A file that is not a link is a copy or was put there by a user; it is kept. */
export async function hasEntry(path: string, size?: number): Promise<boolean> {
  const isOwn = await lstat(path).then(
    (found) => found.isFile(),
    () => false,
  )
  return isOwn || hasFile(path, size)
}

async function sizesIn(folder: string, look = stat): Promise<{ name: string; size: number }[]> {
  const names = await readdir(folder).catch(() => [])
  return Promise.all(
    names.map(async (name) => ({
      name,
      size: await look(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    })),
  )
}

/** The files of snapshots that are no links to blobs: where it cannot link, huggingface_hub moves blobs there. */
async function copiesIn(path: string): Promise<{ size: number }[]> {
  const folder = join(path, 'snapshots')
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const found = await Promise.all(names.map((name) => lstat(join(folder, name)).catch(() => [])))
  return found.flat().filter((file) => file.isFile() && file.nlink === 1)
}

function sum(files: readonly { size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0)
}

async function readRevisions(path: string): Promise<Record<string, string>> {
  const revisions: Record<string, string> = {}
  const names = await readdir(join(path, 'refs'), { recursive: true }).catch(() => [])
  for (const name of names.toSorted()) {
    const commit = (await readText(join(path, 'refs', name)))?.trim()
    const revision = name.replaceAll('\\', '/')
    if (commit !== undefined && isCommit(commit) && isSafe(revision)) revisions[revision] = commit
  }
  const commits = await readdir(join(path, 'snapshots')).catch(() => [])
  const named = new Set(Object.values(revisions))
  for (const commit of commits.toSorted()) {
    if (isCommit(commit) && !named.has(commit)) revisions[commit] = commit
  }
  return revisions
}

/** Reads a regular file of bounded size; `undefined` for anything else. */
async function readText(path: string): Promise<string | undefined> {
  const file = await open(path, OPEN_FLAGS).catch(() => {})
  try {
    const found = await file?.stat()
    return found?.isFile() && found.size <= MAX_LIST_BYTES
      ? await file?.readFile('utf8')
      : undefined
  } catch {
    return undefined
  } finally {
    await file?.close()
  }
}

function listName(commit: string, kind: Kind): string {
  return `${commit}.node-mlx-${kind}.json`
}
