// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'
import { NodeMlxError } from '../errors'
import { hasEntry, Repository } from './cache'
import { HubClient } from './client'
import { downloadBlob, type Job } from './download'
import { ESSENTIAL, isCommit, isWanted, type RepoFile } from './files'
import { fetchDescription, inTemporaryFolder, isDescriptive } from './headers'
import { fetchListing, type Listing, type Source } from './listing'
import { Progress, type OnProgress } from './progress'
import type { Settings } from './settings'

const PARALLEL_FILES = 8

/** Downloads the needed files of one revision of a model or an adapter. */
export class SnapshotDownload {
  readonly #source: Source
  readonly #settings: Settings
  readonly #onProgress: OnProgress
  readonly #repository: Repository
  readonly #client: HubClient
  /** Aborted with the reason that ends the download: by the caller, or by the first file that fails. */
  readonly #stop: AbortController

  constructor(source: Source, settings: Settings, onProgress: OnProgress, stop: AbortController) {
    this.#source = source
    this.#settings = settings
    this.#onProgress = onProgress
    this.#stop = stop
    this.#repository = new Repository(settings.cacheDir, source.id)
    this.#client = new HubClient(settings, source.id, stop.signal)
  }

  /** Returns the snapshot's folder. */
  async run(): Promise<string> {
    const found = await this.#find()
    return typeof found === 'string' ? found : this.#download(found)
  }

  /** Calls `use` with the cached snapshot's folder, or else with a temporary folder of configs and headers only. */
  async inspect<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const found = await this.#find()
    if (typeof found === 'string') return use(found)
    const files = await this.#describe(found.commit, found.files.filter(isDescriptive))
    return inTemporaryFolder(async (folder) => {
      await this.#inParallel(files, (file) =>
        fetchDescription(this.#client, found.commit, file, folder),
      )
      return use(folder)
    })
  }

  /** Returns the folder if nothing is missing, or else the Hub's list of files. */
  async #find(): Promise<string | Listing> {
    const { revision } = this.#source
    const known = isCommit(revision) ? revision : await this.#repository.readRef(revision)
    const cached = known === undefined ? undefined : await this.#findSnapshot(known)
    if (this.#settings.offline) {
      if (cached !== undefined) return cached.folder
      throw this.#notCached()
    }
    if (cached?.isComplete && known === revision) return cached.folder

    let listing
    try {
      const retries = cached === undefined ? this.#client.server.retries : 0
      listing = await fetchListing(this.#client, this.#source, retries)
    } catch (error) {
      if (cached !== undefined && mayUseCache(error)) return cached.folder
      throw error
    }
    if (!(await this.#findSnapshot(listing.commit))?.isComplete) return listing
    await this.#repository.writeRef(revision, listing.commit).catch(() => {})
    return this.#repository.snapshot(listing.commit)
  }

  /** Returns the cached snapshot of a commit, unless it is known to lack a file. */
  async #findSnapshot(
    commit: string,
  ): Promise<{ folder: string; isComplete: boolean } | undefined> {
    if (!(await this.#repository.hasSnapshot(commit))) return undefined
    const folder = this.#repository.snapshot(commit)
    const { kind } = this.#source
    const files = await this.#repository.readList(commit, kind)
    const expected = files ?? ESSENTIAL[kind].map((name) => ({ name, size: undefined }))
    for (const { name, size } of expected) {
      if (isWanted(name, kind) && !(await hasEntry(join(folder, name), size))) return undefined
    }
    return { folder, isComplete: files !== undefined }
  }

  async #download({ commit, files: listed }: Listing): Promise<string> {
    const folder = this.#repository.snapshot(commit)
    const files = await this.#describe(commit, listed)
    const missing: RepoFile[] = []
    for (const file of files) {
      if (!(await hasEntry(join(folder, file.name), file.size))) missing.push(file)
    }

    try {
      await this.#repository.writeList(commit, this.#source.kind, files)
    } catch (error) {
      // A read-only cache is sufficient if nothing is missing.
      if (missing.length > 0) throw error
    }
    const progress = new Progress(missing, this.#onProgress)
    const job: Job = {
      commit,
      client: this.#client,
      repository: this.#repository,
      signal: this.#stop.signal,
      report: (file, loaded) => progress.report(file, loaded),
    }
    await this.#inParallel(missing, async (file) => {
      await downloadBlob(file, job)
      await this.#repository.link(file.hash, commit, file.name, this.#settings.symlinks)
    })
    await this.#repository.writeRef(this.#source.revision, commit).catch(() => {})
    return folder
  }

  /** Adds the sizes and hashes that the list lacks. */
  async #describe(commit: string, listed: Listing['files']): Promise<RepoFile[]> {
    const files: RepoFile[] = []
    await this.#inParallel(listed, async ({ name, size, hash }) => {
      const isKnown = size !== undefined && hash !== undefined
      files.push({
        name,
        ...(isKnown ? { size, hash } : await this.#client.describe(commit, name)),
      })
    })
    return files
  }

  /** Processes all items, a few at a time. The first failure stops the others, and is thrown once they have ended. */
  async #inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const queue = [...items]
    const worker = async (): Promise<void> => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
        this.#stop.signal.throwIfAborted()
        await work(item).catch((error: unknown) => {
          this.#stop.abort(error)
          throw error
        })
      }
    }
    await Promise.allSettled(Array.from({ length: PARALLEL_FILES }, worker))
    this.#stop.signal.throwIfAborted()
  }

  #notCached(): NodeMlxError {
    const { id, revision } = this.#source
    const { cacheDir } = this.#settings
    return new NodeMlxError(
      'ERR_OFFLINE',
      `${id}: revision '${revision}' is missing or incomplete in the cache ${cacheDir}, ` +
        'and offline mode forbids downloads',
      { details: { id, revision, cacheDir } },
    )
  }
}

/** Whether the cache may be used instead, as in huggingface_hub: not if the revision no longer exists. */
function mayUseCache(error: unknown): boolean {
  if (!(error instanceof NodeMlxError)) return false
  const { code, details } = error
  const isRefused = code.startsWith('ERR_HUB_') || details?.['status'] !== undefined
  return isRefused && details?.['reason'] !== 'RevisionNotFound'
}
