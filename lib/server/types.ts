// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/// <reference lib="esnext.disposable" preserve="true" />

import type { Embedder } from '../embedder'
import type { Model } from '../model'
import type { PoolOptions } from '../pool'

/** Options of `createHandler`. */
export interface HandlerOptions extends PoolOptions {
  /**
   * The models that requests can name: ids on the Hub or folders, which are their own names; or an object of names to ids,
   * folders, or models and embedders that are loaded already, which stay loaded. Others are loaded by the first request: by one
   * for embeddings as an embedder.
   */
  models: readonly string[] | Readonly<Record<string, string | Model | Embedder>>
  /** What requests must have as `Authorization: Bearer …`. Default: nothing. */
  apiKey?: string | undefined
  /** Maximum number of bytes of a request's body. Default 10,000,000. */
  maxBodySize?: number | undefined
  /** Milliseconds after which a request is given up, with loading and the whole answer. Default 600,000. */
  timeout?: number | undefined
}

/** Answers requests. */
export interface Handler {
  (request: Request): Promise<Response>
  /** Unloads the models that it has loaded, which stops their runs. Further requests load them again. */
  dispose(): Promise<void>
  /** Same as {@link Handler.dispose}. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options of `serve`. */
export interface ServeOptions extends HandlerOptions {
  /** The address to listen at. One that other machines can reach needs an `apiKey`. Default 127.0.0.1. */
  host?: string | undefined
  /** The port; 0 takes a free one. Default 8080. */
  port?: number | undefined
}

/** A server that listens. */
export interface Server {
  /** Where clients find it: what they call the base URL. */
  readonly url: string
  /** Ends all connections, and unloads the models. */
  close(): Promise<void>
  /** Same as {@link Server.close}. */
  [Symbol.asyncDispose](): Promise<void>
}
