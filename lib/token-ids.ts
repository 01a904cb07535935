// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument } from './errors'
import { MAX_TOKENS } from './limits'
import { checkBias, integer, isUint32Array, readable, show } from './options'

/** Checks token ids one by one: an id without an embedding would make MLX read out of bounds. */
export function checkTokenIds(name: string, ids: unknown, vocabSize: number): Uint32Array {
  return readable(name, () => toTokenIds(name, ids, vocabSize))
}

function toTokenIds(name: string, ids: unknown, vocabSize: number): Uint32Array {
  if (!Array.isArray(ids) && !isUint32Array(ids)) {
    throw invalidArgument(name, `expected an array of token ids, got ${show(ids)}`)
  }
  // Read once: an array may be a proxy, and another thread may write to shared memory.
  const length: unknown = ids.length
  integer({ min: 0, max: MAX_TOKENS })(`${name}.length`, length)
  if (length === 0 && isDetached(ids))
    throw invalidArgument(name, 'the array has been transferred to another thread')
  const checkId = integer({ min: 0, max: vocabSize - 1 })
  const checked = new Uint32Array(length as number)
  for (let index = 0; index < checked.length; index += 1) {
    const id = ids[index] as number
    if (!(Number.isInteger(id) && id >= 0 && id < vocabSize)) checkId(`${name}[${index}]`, id)
    checked[index] = id
  }
  return checked
}

/** Whether a typed array has lost its memory; not every Node.js has `buffer.detached`. */
function isDetached(ids: readonly unknown[] | Uint32Array): boolean {
  try {
    return isUint32Array(ids) && new Uint8Array(ids.buffer).length < 0
  } catch {
    return true
  }
}

/** Checks biases by token id. The keys of an object are strings and must be canonical integers. */
export function checkLogitBias(biases: object, vocabSize: number): [id: number, bias: number][] {
  const checkId = integer({ min: 0, max: vocabSize - 1 })
  const entries: readonly (readonly [unknown, unknown])[] = readable('logitBias', () =>
    isMap(biases)
      ? [...biases]
      : Object.entries(biases).map(([key, value]) => [
          String(Number(key)) === key ? Number(key) : key,
          value,
        ]),
  )
  return entries.map(([id, value]) => {
    const name = `logitBias[${show(id)}]`
    checkId(`${name}: the token id`, id)
    checkBias(name, value)
    return [id as number, value as number]
  })
}

/** By its tag, as `isUint32Array`. */
function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  return Object.prototype.toString.call(value) === '[object Map]'
}
