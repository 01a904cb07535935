// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Model } from './model'
import type { GenerateOptions } from './types'

/** How much a model reasons, as OpenAI's API and the AI SDK have it. */
export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const

export type Effort = (typeof EFFORTS)[number]

/** The levels of models that have some, such as GPT-OSS. */
const LEVELS: Partial<Record<Effort, string>> = { minimal: 'low', xhigh: 'high', max: 'high' }

/** The options that mean this effort for a model. One without levels reasons, or does not. */
export function toEffortOptions(
  effort: Effort | undefined,
  { tokenizer }: Model,
  chatTemplateArgs?: GenerateOptions['chatTemplateArgs'],
): GenerateOptions {
  if (effort === undefined) return {}
  const hasLevels = tokenizer.chatTemplate?.includes('reasoning_effort') ?? false
  if (effort === 'none' || !hasLevels) return { reasoning: effort !== 'none' }
  return { chatTemplateArgs: { ...chatTemplateArgs, reasoning_effort: LEVELS[effort] ?? effort } }
}
