// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { ModelInspection } from '../inspect'
import type { Arguments } from './args'
import { formatBytes, formatCount } from './format'
import { useProxies } from './hub'
import { progressBar } from './progress'

/** Prints a model's properties and memory needs. */
export async function inspect(args: Arguments): Promise<void> {
  const { inspectModel } = await import('../index.js')
  const [named, ...more] = args.operands
  const id = named ?? args.model
  if (id === undefined || more.length > 0)
    throw new Error('expected the name or the folder of one model')
  useProxies()
  const inspection = await inspectModel(id, {
    revision: args.revision,
    adapter: args.adapter,
    context: args.context,
    onProgress: progressBar(),
  })
  console.log(args.output.json ? JSON.stringify(inspection, null, 2) : describe(inspection))
}

function describe(model: ModelInspection): string {
  const { quantization, memory } = model
  const needed = memory.weights + memory.cache
  const lines = {
    model: model.id,
    architecture: model.modelType,
    parameters: formatCount(model.parameterCount),
    quantization:
      quantization === undefined
        ? 'none'
        : `${quantization.bits} bits, groups of ${quantization.groupSize}, ${quantization.mode}`,
    vocabulary: `${count(model.vocabSize)} tokens`,
    context: `${count(model.contextLength)} tokens`,
    'on disk': formatBytes(model.fileSize),
    weights: `${formatBytes(memory.weights)} on the ${model.device}`,
    'KV cache': `${formatBytes(memory.cache)} for ${count(memory.context)} tokens`,
    'in memory': `${formatBytes(needed)}; ${formatBytes(memory.available)} available`,
  }
  return Object.entries(lines)
    .map(([name, value]) => `${name.padEnd(14)}${value}`)
    .join('\n')
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}
