// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'

export { NodeMlxError } from '../errors'
export { startHost } from './host'

/** Path of the preload script, for `webPreferences`: the file of `node-mlx/electron/preload`. */
export const preload: string = join(__dirname, 'preload.js')

export type { Chat } from '../chat'
export type { ErrorCode, NodeMlxErrorJson } from '../errors'
export type { Generation } from '../generation'
export type { InspectOptions, ModelInspection } from '../inspect'
export type { Model } from '../model'
export type { Tokenizer } from '../tokenizer'
export type * from '../types'
export type { WebContentsLike } from './electron'
export type { Host } from './host'
export type { HostOptions } from './process'
