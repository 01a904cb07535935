// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// An answer that is a value, with its type: `node examples/json.mts [model folder]`.

import { loadModel } from 'node-mlx'
import * as z from 'zod'

const model = await loadModel(process.argv[2] ?? 'models/demo')
const Person = z.object({ name: z.string().max(40), age: z.int().min(0).max(150) })
const { object } = await model.generate('Who was Ada Lovelace?', { schema: Person })
console.log(`${object?.name} is ${object?.age} years old.`)
await model.dispose()
