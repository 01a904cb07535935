// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A model that calls a function of this program: `node examples/tools.mts [model folder]`.

import { loadModel, tool } from 'node-mlx'
import * as z from 'zod'

const getWeather = tool({
  name: 'get_weather',
  description: 'Get the weather of a city',
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `${city === 'Paris' ? 'sunny' : 'rainy'}, 21 degrees`,
})

const model = await loadModel(process.argv[2] ?? 'models/demo')
const chat = model.chat({ tools: [getWeather], strictTools: true })
const { text, steps } = await chat.run('What is the weather in Paris?', { maxSteps: 5 })
for (const { toolCalls, toolResults } of steps) console.log(toolCalls, toolResults)
console.log(text)
await model.dispose()
