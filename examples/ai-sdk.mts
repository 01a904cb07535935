// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The AI SDK with a local model: `node examples/ai-sdk.mts [model folder]`.

import { generateText, Output } from 'ai'
import { mlx } from 'node-mlx/ai-sdk'
import * as z from 'zod'

const { output } = await generateText({
  model: mlx(process.argv[2] ?? 'models/demo'),
  output: Output.object({ schema: z.object({ sentiment: z.enum(['positive', 'negative']) }) }),
  prompt: 'Judge: "The tea was cold."',
})
console.log(output.sentiment)
await mlx.dispose()
