// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import {
  devices,
  memoryUsage,
  setCacheLimit,
  setChatCacheLimit,
  setMemoryLimit,
  setThreads,
} from '../engine'
import { downloadModel } from '../hub'
import { inspectModel, type InspectOptions } from '../inspect'
import { loadNative } from '../load'
import type { DownloadOptions, LoadOptions } from '../types'
import type { AnyPort } from './port'
import { ownModel } from './server-model'
import { method, ServerObject, type Context } from './server-object'
import { serveObject } from './session'

/** Gives the client at the other end of the port the use of the whole package. */
export function serve(port: AnyPort): void {
  serveObject(port, library())
}

function library(): ServerObject {
  return new ServerObject({
    methods: {
      devices,
      memoryUsage,
      setCacheLimit: method(([bytes]: [number]) => setCacheLimit(bytes)),
      setChatCacheLimit: method(([bytes]: [number]) => setChatCacheLimit(bytes)),
      setMemoryLimit: method(([bytes]: [number]) => setMemoryLimit(bytes)),
      setThreads: method(([count]: [number]) => setThreads(count)),
      inspectModel: method(([id, options]: [string, InspectOptions], context) =>
        inspectModel(id, withCallbacks(options, context)),
      ),
      downloadModel: method(([id, options]: [string, DownloadOptions], context) =>
        downloadModel(id, withCallbacks(options, context)),
      ),
      loadModel: method(async ([id, options]: [string, LoadOptions], context) =>
        ownModel(await loadNative(id, withCallbacks(options, context))),
      ),
    },
  })
}

function withCallbacks<T extends object>(options: T, { signal, onProgress }: Context): T {
  return { ...options, signal, ...(onProgress !== undefined && { onProgress }) }
}
