// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Tiny embedders and a reranker, beside what transformers computes with them (tools/parity/embedders.py).

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './models'

interface Embedded {
  texts: string[]
  runs: {
    prompt: string | null
    dimensions: number | null
    tokens: number
    embeddings: number[][]
  }[]
}

interface Ranked {
  query: string
  documents: string[]
  /** By instruction, that of Qwen3-Reranker first. */
  scores: Record<string, number[]>
}

export function embedderFolder(name: string): string {
  return join(root, '__test__/embedders', name)
}

/** Pooled by the last token, and by the mean without the prompt. */
export const EMBEDDERS = ['last', 'mean'] as const
export const reranker = embedderFolder('reranker')

export function embedded(name: string): Embedded {
  return readExpected(embedderFolder(name)) as Embedded
}

export function ranked(): Ranked {
  return readExpected(reranker) as Ranked
}

/** How far numbers in float32 may be from transformers'. */
export const LIMIT = (
  JSON.parse(readFileSync(join(root, 'tools/parity/tolerances.json'), 'utf8')) as {
    f32: { abs: number }
  }
).f32.abs

/** The largest difference of two lists of numbers. */
export function apart(ours: Iterable<number>, theirs: readonly number[]): number {
  const numbers = [...ours]
  if (numbers.length !== theirs.length) return Infinity
  return Math.max(...numbers.map((number, index) => Math.abs(number - (theirs[index] ?? NaN))))
}

function readExpected(folder: string): unknown {
  return JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))
}
