// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The time to the first token of a chat's next answer, of a run with all of its messages, and of one that has to process
// them anew, in turns; medians in seconds as one line of JSON. All must give the same tokens.
//
// usage: chat.mjs FOLDER [HISTORY_TOKENS ROUNDS]

import { loadModel } from 'node-mlx'
import { median } from './median.mjs'

const [folder, ...numbers] = process.argv.slice(2)
const [historyTokens = 4000, rounds = 3] = numbers.map(Number)
const options = { temperature: 0, maxTokens: 8, ignoreEos: true }

const model = await loadModel(folder)
const words = Array.from({ length: historyTokens }, (_, index) => `word ${index}`)
const ids = await model.tokenizer.encode(words.join(', '))
const text = await model.tokenizer.decode(ids.slice(0, historyTokens))

const chat = model.chat(options)
await chat.send(text)
const times = { chat: [], stateless: [], fresh: [] }
let cached = 0
for (let round = 0; round < rounds; round += 1) {
  const question = `${round} times I asked you: which of these was it that you liked best?`
  const messages = [...chat.messages, { role: 'user', content: question }]
  const fork = chat.fork()
  const next = await fork.send(question)
  fork.dispose()
  const stateless = await model.generate(messages, options)
  const fresh = await model.generate(messages, { ...options, cache: 'none' })
  for (const { tokens } of [next, stateless]) {
    if (`${tokens}` !== `${fresh.tokens}`)
      throw new Error(`the answer is ${tokens}, a fresh run's ${fresh.tokens}`)
  }
  cached = stateless.usage.cachedTokens
  for (const [name, { timings }] of Object.entries({ chat: next, stateless, fresh }))
    times[name].push(timings.timeToFirstTokenMs / 1000)
}
await model.dispose()
const medians = Object.entries(times).map(([name, seconds]) => [name, median(seconds)])
console.log(JSON.stringify({ cached, ...Object.fromEntries(medians) }))
