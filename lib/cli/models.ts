// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { freemem, totalmem } from 'node:os'
import { listModels } from '../hub/cache'
import { readSettings } from '../hub/settings'
import { inspectModel, type ModelInspection } from '../inspect'

/** Tokens that a conversation needs room for. */
const CONTEXT = 4096
const MOST = 5

// Bytes, as `inspectModel` counts them. `weights` follows from the dimensions in config.json, with 4.5 bits for each
// parameter: 4, and a scale and a bias of 16 bits for each group of 64; for gpt-oss, it is the size of the files. `cache`
// is 2 (keys and values) × layers × key-value heads × head dimension × 4 bytes (f32, as on a CPU) × CONTEXT.
const SUGGESTIONS = [
  { id: 'mlx-community/Qwen3-0.6B-4bit', weights: 0.34e9, cache: 0.94e9 },
  { id: 'mlx-community/Qwen3-1.7B-4bit', weights: 0.97e9, cache: 0.94e9 },
  { id: 'mlx-community/Qwen3-4B-Instruct-2507-4bit', weights: 2.26e9, cache: 1.21e9 },
  { id: 'mlx-community/Qwen3-8B-4bit', weights: 4.61e9, cache: 1.21e9 },
  { id: 'mlx-community/gpt-oss-20b-MXFP4-Q8', weights: 12.1e9, cache: 0.4e9 },
  { id: 'mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit', weights: 17.18e9, cache: 0.81e9 },
  { id: 'mlx-community/Llama-3.3-70B-Instruct-4bit', weights: 39.69e9, cache: 2.68e9 },
]

/** A model to choose. */
export interface Choice {
  id: string
  /** Bytes of the weights. */
  size: number
  isCached: boolean
}

/** Lists models that fit into memory, at most five: those in the cache, then the largest suggestions, smallest first. */
export async function fittingModels(): Promise<{ available: number; choices: Choice[] }> {
  const { cacheDir, offline } = await readSettings()
  let available = machineMemory()
  const cached: Choice[] = []
  const known = new Set<string>()
  for (const { id } of await listModels(cacheDir)) {
    if (cached.length === MOST) break
    const inspection = await inspectCached(id)
    if (inspection === undefined) continue
    const { weights, cache } = inspection.memory
    available = Math.min(available, inspection.memory.available)
    known.add(id)
    if (weights + cache <= available) cached.push({ id, size: weights, isCached: true })
  }
  const suggested = SUGGESTIONS.filter(({ id, weights, cache }) => {
    return !offline && !known.has(id) && weights + cache <= available
  }).map(({ id, weights }) => ({ id, size: weights, isCached: false }))
  const rest = suggested.slice(Math.max(0, suggested.length - MOST + cached.length))
  return { available, choices: [...cached, ...rest] }
}

/** Returns a cached model's properties; `undefined` for an adapter, an incomplete download or an unknown architecture. */
async function inspectCached(id: string): Promise<ModelInspection | undefined> {
  try {
    return await inspectModel(id, { offline: true, context: CONTEXT })
  } catch {
    return undefined
  }
}

/** Bytes that a model may take, as far as they can be told without a model. */
function machineMemory(): number {
  // The least share of its memory that macOS recommends to use on the GPU; what is free says little there.
  if (process.platform === 'darwin') return (totalmem() * 2) / 3
  // MLX takes four fifths of the machine's memory on a CPU.
  return Math.min(process.availableMemory?.() ?? freemem(), totalmem() * 0.8)
}
