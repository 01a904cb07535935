// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Changes to files and texts, which a seed determines.

/** Numbers from a seed (mulberry32). */
export class Random {
  #state

  constructor(seed) {
    this.#state = Math.imul(seed + 1, 0x9e3779b9)
  }

  /** In [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) % 2 ** 32
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(end) {
    return Math.floor(this.next() * end)
  }

  chance(of) {
    return this.next() < of
  }

  pick(values) {
    return values[this.below(values.length)]
  }
}

const NUMBERS =
  '0 -0 -1 1 2 3 7 8 16 32 64 100 128 255 256 1000 4096 65535 65536 1048576 16777216 2147483647 2147483648 -2147483648 ' +
  '4294967295 4294967296 9007199254740993 9223372036854775807 18446744073709551616 0.5 -0.5 1.5 1e-300 1e-45 1e38 1e300 -1e300 1e400'
/** JSON as text: some of it is lost in JavaScript's numbers. */
const LEAVES = [
  ...NUMBERS.split(' '),
  ...'null true false "" "x" "\\u0000" "\\ud800" "ﷺ" "../x" [] {} [0] [-1] [null] [[]] ["a","a"] [0,1,2,3] {"a":1} {"":{}}'.split(
    ' ',
  ),
  JSON.stringify('a'.repeat(1000)),
  JSON.stringify('<|im_start|>'),
  '['.repeat(200) + ']'.repeat(200),
]
const MARK = '@@@'

/** Changes a value in a few places. `words`: texts that may mean something there. */
export function mutateJson(random, value, words = []) {
  const holder = { value: structuredClone(value) }
  const leaves = []
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const places = placesOf(holder)
    if (places.length === 0) break
    mutateAt(random, random.pick(places), places, words, leaves)
  }
  const text = JSON.stringify(holder.value) ?? ''
  const json = text.replaceAll(/"@@@(\d+)"/gu, (_, at) => leaves[at])
  return random.chance(0.1) ? mutateText(random, json) : json
}

/** Where the values within an object are. */
function placesOf(holder) {
  const places = []
  const walk = (parent) => {
    for (const key of Object.keys(parent)) {
      places.push([parent, key])
      if (typeof parent[key] === 'object' && parent[key] !== null) walk(parent[key])
    }
  }
  walk(holder)
  return places
}

function mutateAt(random, [parent, key], places, words, leaves) {
  const old = parent[key]
  switch (random.below(9)) {
    case 0:
      if (Array.isArray(parent)) parent.splice(key, 1)
      else delete parent[key]
      break
    case 1: {
      const [other, name] = random.pick(places)
      parent[key] = structuredClone(other[name] ?? null)
      break
    }
    case 2:
      if (Array.isArray(old)) parent[key] = [...old, ...old]
      else if (typeof old === 'string') parent[key] = mutateText(random, old)
      else if (typeof old === 'number')
        parent[key] = random.pick([-old, old + 1, old - 1, old * 2, old / 2])
      else parent[key] = [old]
      break
    case 3:
      if (Array.isArray(old)) parent[key] = old.slice(random.below(old.length + 1))
      else parent[key] = { [random.pick(['a', '', key])]: old }
      break
    case 4:
      if (words.length > 0) parent[key] = random.pick(words)
      break
    case 5: {
      const [, name] = random.pick(places)
      if (!Array.isArray(parent)) parent[name] = structuredClone(old)
      break
    }
    default:
      parent[key] = `${MARK}${leaves.push(random.pick(LEAVES)) - 1}`
  }
}

/** Takes out, repeats, moves or inserts a part. `pieces`: what may be inserted. */
export function mutateText(
  random,
  text,
  pieces = ['', '\0', 'é', '\u{10FFFF}', '{', '"', '9'.repeat(30)],
) {
  const at = random.below(text.length + 1)
  const end = Math.min(
    text.length,
    at + 1 + random.below(random.chance(0.2) ? text.length + 1 : 12),
  )
  const part = text.slice(at, end)
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + text.slice(end)
    case 1:
      return (
        text.slice(0, at) +
        part.repeat(1 + random.below(random.chance(0.05) ? 200 : 3)) +
        text.slice(at)
      )
    case 2: {
      const to = random.below(text.length + 1)
      return text.slice(0, to) + part + text.slice(to)
    }
    default:
      return text.slice(0, at) + random.pick(pieces) + text.slice(random.chance(0.5) ? at : end)
  }
}

/** Changes some bytes in place of others, or the length. */
export function mutateBytes(random, bytes) {
  const copy = Buffer.from(bytes)
  if (copy.length === 0) return Buffer.from([random.below(256)])
  if (random.chance(0.2)) return copy.subarray(0, random.below(copy.length))
  if (random.chance(0.1)) return Buffer.concat([copy, Buffer.alloc(1 + random.below(5000))])
  for (let count = 1 + random.below(8); count > 0; count -= 1)
    copy[random.below(copy.length)] = random.pick([0, 1, 0x22, 0x7f, 0x80, 0xff, random.below(256)])
  return copy
}
