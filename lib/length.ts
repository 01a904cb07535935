// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { NodeMlxError } from './errors'
import { Room } from './json'
import { maxCharacters } from './limits'
import type { NativeModelInfo } from './native'

/** Counts what is sent for one prompt: messages, tools, documents and whatever else a template may write. */
export function roomFor({ contextLength }: NativeModelInfo): Room {
  return new Room((characters) => checkLength(characters, contextLength))
}

/** Refuses a text that cannot fit, before anybody spends seconds on tokenizing it. */
export function checkLength(characters: number, contextLength: number): void {
  const limit = maxCharacters(contextLength)
  if (characters <= limit) return
  throw new NodeMlxError(
    'ERR_CONTEXT_OVERFLOW',
    `the prompt has ${characters} characters, more than the ${limit} that could fit a context of ` +
      `${contextLength} tokens`,
    { details: { promptCharacters: characters, characterLimit: limit, limit: contextLength } },
  )
}
