// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** How far a download is. An adapter of the Hub is one of its own, before its model's. */
export interface DownloadProgress {
  stage: 'download'
  /** The file that this is told about; several are fetched at a time. */
  file: string
  /** Bytes of the file that are here. */
  fileLoaded: number
  fileTotal: number
  /** Bytes that are here of all files that the cache lacked. */
  loaded: number
  total: number
}

/** Where models of the Hugging Face Hub come from and are kept. */
export interface HubOptions {
  /**
   * Folder of the cache; `~` is the home folder. Default: HF_HUB_CACHE, else `hub` in HF_HOME, which is
   * `~/.cache/huggingface`.
   */
  cacheDir?: string | undefined
  /**
   * Access token, for private and gated models. Default: HF_TOKEN, else the file HF_TOKEN_PATH, which
   * `hf auth login` writes; neither if HF_HUB_DISABLE_IMPLICIT_TOKEN is set. No other host is ever sent it.
   */
  token?: string | undefined
  /** URL of the Hub. Default: HF_ENDPOINT, else `https://huggingface.co`. */
  endpoint?: string | undefined
  /** Use the cache alone, without any connection. Default: whether HF_HUB_OFFLINE is 1, on, yes or true. */
  offline?: boolean | undefined
}

/** Options of `downloadModel`. */
export interface DownloadOptions extends HubOptions {
  /** Branch, tag or commit. Default `'main'`. */
  revision?: string | undefined
  /** Told how far the download is. If it throws, the download ends with what it threw. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Stops the download; it then rejects with an `AbortError`, and keeps what it has for the next time. */
  signal?: AbortSignal | undefined
}
