// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from './errors'
import { isRecord, show } from './options'

const MAX_DEPTH = 64

/**
 * Serialises a value for the addon. Differs from JSON.stringify where the addon's parser or a chat template would
 * fail: lone surrogates become U+FFFD, and values that are nested too deeply or cannot be serialised are rejected. The
 * error names them as properties of `name`; with `''`, by the keys of the object alone.
 */
export function toJson(name: string, value: unknown): string {
  return JSON.stringify(wellFormed(name, value, 0))
}

function wellFormed(name: string, value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) throw invalidArgument(name, `nested more than ${MAX_DEPTH} levels deep`)
  if (typeof value === 'string') return value.toWellFormed()
  if (value === null || value === undefined || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (Array.isArray(value)) {
    return value.map((item, index) => wellFormed(`${name}[${index}]`, item, depth + 1) ?? null)
  }
  if (isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key.toWellFormed(),
        wellFormed(name === '' ? key : `${name}.${key}`, item, depth + 1),
      ]),
    )
  }
  throw invalidArgument(name, `${show(value)} cannot be serialised as JSON`)
}
