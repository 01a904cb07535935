// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Messages, and what runs with and without a cache have in common.

import type { GenerationResult, Message } from 'node-mlx'
import { expect } from 'vitest'

export const user = (content: string): Message => ({ role: 'user', content })
export const assistant = (content: string): Message => ({ role: 'assistant', content })

/** Expects of a run that may have started with a cache what `fresh`, one without, gives. */
export function expectSame(result: GenerationResult, fresh: GenerationResult): void {
  expect(result.tokens).toEqual(fresh.tokens)
  expect(result.finishReason).toBe(fresh.finishReason)
  expect(result.usage).toEqual({ ...fresh.usage, cachedTokens: result.usage.cachedTokens })
  expect(fresh.usage.cachedTokens).toBe(0)
}
