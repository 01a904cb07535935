// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** Progress of a download. An adapter is a separate download, before that of its model. */
export interface DownloadProgress {
  stage: 'download'
  /** The file that this report is about; several are downloaded at a time. */
  file: string
  /** Bytes of this file downloaded so far. */
  fileLoaded: number
  fileTotal: number
  /** Bytes downloaded so far of all files that were not in the cache. */
  loaded: number
  total: number
}

/** Options for access to the Hugging Face Hub and its cache. */
export interface HubOptions {
  /**
   * Folder of the cache; `~` is the home folder. Default: HF_HUB_CACHE, or else `hub` in HF_HOME, whose default is
   * `~/.cache/huggingface`.
   */
  cacheDir?: string | undefined
  /**
   * Access token for private and gated models. Default: HF_TOKEN, or else the file HF_TOKEN_PATH, which
   * `hf auth login` writes; neither if HF_HUB_DISABLE_IMPLICIT_TOKEN is set. It is never sent to another host.
   */
  token?: string | undefined
  /** URL of the Hub. Default: HF_ENDPOINT, or else `https://huggingface.co`. */
  endpoint?: string | undefined
  /** Use only the cache and make no connection. Default: true if HF_HUB_OFFLINE is 1, on, yes or true. */
  offline?: boolean | undefined
}

/** Options of `downloadModel`. */
export interface DownloadOptions extends HubOptions {
  /** Branch, tag or commit. Default `'main'`. */
  revision?: string | undefined
  /** Called with progress of the download. An exception cancels the download, which rejects with it. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Stops the download, which then rejects with an `AbortError`. Partial files are kept, to be resumed. */
  signal?: AbortSignal | undefined
}
