// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors'
import { isRecord, show } from '../options'
import { didYouMean } from '../suggest'

/**
 * Reads the fields of an object of a request, and refuses it by the name of the field that is wrong. One that is null
 * counts as missing, as in OpenAI's API. What a model checks itself is read as `any`.
 */
export class Fields {
  readonly #where: string
  readonly #values: Readonly<Record<string, unknown>>
  readonly #known = new Set<string>()

  /** `where`: the name of the object; '' for the body. */
  constructor(where: string, value: unknown) {
    if (!isRecord(value))
      throw invalidArgument(where || 'body', `expected an object, got ${show(value)}`)
    this.#where = where
    this.#values = value
  }

  /** The full name of a field. */
  name(key: string): string {
    return this.#where === '' ? key : `${this.#where}.${key}`
  }

  any(key: string): unknown {
    this.#known.add(key)
    return (Object.hasOwn(this.#values, key) ? this.#values[key] : undefined) ?? undefined
  }

  text(key: string): string | undefined {
    return this.#read(key, 'a string', (value) => typeof value === 'string')
  }

  boolean(key: string): boolean | undefined {
    return this.#read(key, 'true or false', (value) => typeof value === 'boolean')
  }

  list(key: string): unknown[] | undefined {
    return this.#read(key, 'an array', Array.isArray)
  }

  object(key: string): Record<string, unknown> | undefined {
    return this.#read(key, 'an object', isRecord)
  }

  fields(key: string): Fields | undefined {
    const value = this.any(key)
    return value === undefined ? undefined : new Fields(this.name(key), value)
  }

  oneOf<T extends string | number | boolean>(key: string, allowed: readonly T[]): T | undefined {
    const expected = allowed.map(show).join(' or ')
    return this.#read(key, expected, (value) => allowed.includes(value as T))
  }

  /** The value of a field that must be there. */
  required<T>(key: string, value: T | undefined): T {
    if (value === undefined) throw invalidArgument(this.name(key), 'is missing')
    return value
  }

  /** Takes note of fields that make no difference here. */
  ignore(...keys: string[]): void {
    for (const key of keys) this.#known.add(key)
  }

  /** Refuses what has not been read. */
  end(): void {
    const known = [...this.#known]
    const unknown = Object.keys(this.#values).find(
      (key) => !this.#known.has(key) && this.#values[key] !== null,
    )
    if (unknown === undefined) return
    const name = this.name(unknown.length > 100 ? `${unknown.slice(0, 100)}…` : unknown)
    throw invalidArgument(name, `is not supported${didYouMean(unknown, known)}`)
  }

  #read<T>(key: string, expected: string, test: (value: unknown) => boolean): T | undefined {
    const value = this.any(key)
    if (value === undefined || test(value)) return value as T | undefined
    throw invalidArgument(this.name(key), `expected ${expected}, got ${show(value)}`)
  }
}

/** Reads the items of an array, each by its name. */
export function each<T>(
  where: string,
  items: readonly unknown[],
  read: (where: string, item: unknown) => T,
): T[] {
  return items.map((item, index) => read(`${where}[${index}]`, item))
}
