// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from './errors'
import { MAX_DEPTH, MAX_ITEMS } from './limits'
import { entriesOf, isRecord, readable, show, toItems } from './options'

/** Where in a value something is. */
export type Path = (string | number)[]

/** Counts what is written, over several values if they belong together. */
export class Room {
  #items = 0
  #characters = 0
  readonly #check: (characters: number) => void

  /** `check` throws for too many characters. */
  constructor(check: (characters: number) => void = () => {}) {
    this.#check = check
  }

  /** Counts the value at `path`; `characters`: the length of its text. */
  take(path: Path, characters = 0): void {
    this.#items += 1
    if (this.#items > MAX_ITEMS)
      throw invalidArgument(toName(path.slice(0, 2)), `holds more than ${MAX_ITEMS} values`)
    if (characters === 0) return
    this.#characters += characters
    this.#check(this.#characters)
  }
}

/**
 * Serialises a value for the addon. Differs from JSON.stringify where the addon's parser or a chat template would
 * fail: lone surrogates become U+FFFD, and values that are nested too deeply, too many or cannot be serialised are
 * rejected. The error names them as properties of `name`; with `''`, by the keys of the object alone.
 */
export function toJson(name: string, value: unknown, room = new Room()): string {
  return JSON.stringify(readable(name || 'options', () => wellFormed(value, [name], room)))
}

function wellFormed(value: unknown, path: Path, room: Room): unknown {
  // The first step is the name.
  if (path.length > MAX_DEPTH + 1)
    throw invalidArgument(toName(path), `nested more than ${MAX_DEPTH} levels deep`)
  if (typeof value === 'string') {
    room.take(path, value.length)
    return value.toWellFormed()
  }
  room.take(path)
  if (value === null || value === undefined || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (Array.isArray(value)) {
    return toItems(() => toName(path), value).map(
      (item, index) => inside(item, index, path, room) ?? null,
    )
  }
  if (isRecord(value)) {
    const entries = entriesOf(() => toName(path), value).map(([key, item]): [string, unknown] => {
      room.take(path, key.length)
      return [key.toWellFormed(), inside(item, key, path, room)]
    })
    return Object.fromEntries(entries)
  }
  throw invalidArgument(toName(path), `${show(value)} cannot be serialised as JSON`)
}

function inside(value: unknown, step: string | number, path: Path, room: Room): unknown {
  path.push(step)
  const written = wellFormed(value, path, room)
  path.pop()
  return written
}

function toName([name, ...steps]: Path): string {
  const all = steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
  return name === '' ? all.replace(/^\./u, '') : `${name}${all}`
}
