// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { RepoFile } from './files'
import type { DownloadOptions } from './types'

export type OnProgress = DownloadOptions['onProgress']

const INTERVAL_MS = 50

/** Sums the progress of the files of one download. */
export class Progress {
  readonly #total: number
  readonly #loaded: Map<string, number>
  readonly #onProgress: OnProgress
  #toldAt = -Infinity

  constructor(files: readonly RepoFile[], onProgress: OnProgress) {
    this.#total = files.reduce((sum, { size }) => sum + size, 0)
    this.#loaded = new Map(files.map(({ name }) => [name, 0]))
    this.#onProgress = onProgress
  }

  /** Calls `onProgress` at most once per interval, and always for a complete file. */
  report({ name, size }: RepoFile, fileLoaded: number): void {
    this.#loaded.set(name, fileLoaded)
    const now = performance.now()
    if (fileLoaded < size && now - this.#toldAt < INTERVAL_MS) return
    this.#toldAt = now
    let loaded = 0
    for (const bytes of this.#loaded.values()) loaded += bytes
    this.#onProgress?.({
      stage: 'download',
      file: name,
      fileLoaded,
      fileTotal: size,
      loaded,
      total: this.#total,
    })
  }
}
