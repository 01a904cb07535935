// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { chatCompletions } from './chat'
import { completions } from './completions'
import { embeddings, type Embed } from './embeddings'
import type { Fields } from './fields'
import { responses } from './responses'
import type { StartRun } from './run'

type Endpoint = (body: Fields, startRun: StartRun, embed: Embed) => Promise<Response>

/** What answers requests, by their path below /v1. */
export const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  'chat/completions': chatCompletions,
  completions,
  embeddings,
  responses,
}
