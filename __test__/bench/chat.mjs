// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The time to the first token of a chat's next answer, and of a run that has to process all of its messages anew, in
// turns; medians in seconds as one line of JSON. Both must give the same tokens.
//
// usage: chat.mjs FOLDER [HISTORY_TOKENS ROUNDS]

import { loadModel } from 'node-mlx'
import { median } from './median.mjs'

const [folder, ...numbers] = process.argv.slice(2)
const [historyTokens = 4000, rounds = 3] = numbers.map(Number)
const options = { temperature: 0, maxTokens: 8, ignoreEos: true }
const question = 'And which of these was it that you liked best?'

const model = await loadModel(folder)
const words = Array.from({ length: historyTokens }, (_, index) => `word ${index}`)
const ids = await model.tokenizer.encode(words.join(', '))
const text = await model.tokenizer.decode(ids.slice(0, historyTokens))

const chat = model.chat(options)
await chat.send(text)
const messages = [...chat.messages, { role: 'user', content: question }]
const times = { chat: [], fresh: [] }
let cached = 0
for (let round = 0; round < rounds; round += 1) {
  const fork = chat.fork()
  const next = await fork.send(question)
  const fresh = await model.generate(messages, options)
  fork.dispose()
  if (`${next.tokens}` !== `${fresh.tokens}`)
    throw new Error(`the chat's answer is ${next.tokens}, a fresh run's ${fresh.tokens}`)
  cached = next.usage.cachedTokens
  times.chat.push(next.timings.timeToFirstTokenMs / 1000)
  times.fresh.push(fresh.timings.timeToFirstTokenMs / 1000)
}
await model.dispose()
console.log(JSON.stringify({ cached, chat: median(times.chat), fresh: median(times.fresh) }))
