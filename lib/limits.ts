// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What callers, and files that JavaScript reads, may make grow. docs/limits.md lists these with those of src/limits.rs.

/** Elements of an array, and values within one argument: callers can share objects, and leave arrays sparse. */
export const MAX_ITEMS = 2 ** 17

/** Levels of lists and objects within each other. */
export const MAX_DEPTH = 64

/** Token ids of one call. */
export const MAX_TOKENS = 2 ** 22

/** No tokenizer packs more text than this into a token on average: more cannot fit the context. */
const CHARACTERS_PER_TOKEN = 64
const MIN_CHARACTERS = 2 ** 20
const MAX_CHARACTERS = 2 ** 24

/** Characters that are sent for one prompt. */
export function maxCharacters(contextLength: number): number {
  return Math.min(Math.max(contextLength * CHARACTERS_PER_TOKEN, MIN_CHARACTERS), MAX_CHARACTERS)
}

/** Bytes of a list of files in the Hub's cache. */
export const MAX_LIST_BYTES = 2 ** 24
