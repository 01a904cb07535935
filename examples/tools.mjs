// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A model that calls a function of this program: `node examples/tools.mjs [model folder]`.

import { loadModel } from 'node-mlx'

const functions = {
  get_weather: ({ city }) => `${city === 'Paris' ? 'sunny' : 'rainy'}, 21 degrees`,
}

const tools = [
  {
    name: 'get_weather',
    description: 'Get the weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
]

const model = await loadModel(process.argv[2] ?? 'models/demo')
const chat = model.chat({ tools })

let answer = await chat.send('What is the weather in Paris?')
while (answer.toolCalls.length > 0) {
  const results = answer.toolCalls.map(async ({ id, name, arguments: args }) => {
    console.log(`${name}(${JSON.stringify(args)})`)
    return { role: 'tool', toolCallId: id, content: await functions[name](args) }
  })
  answer = await chat.send(await Promise.all(results))
}
console.log(answer.text)
await model.dispose()
