// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What guesses save: tokens per second with each kind of them, in turns in one run; medians as one line of JSON. The task is
// to tell the story of the prompt again with one word changed. The last kind has the model itself as its draft model.
//
// usage: speculative.mjs FOLDER [MAX_TOKENS ROUNDS]

import { loadModel } from 'node-mlx'
import { median } from './median.mjs'

const [folder, ...numbers] = process.argv.slice(2)
const [maxTokens = 200, rounds = 9] = numbers.map(Number)

const model = await loadModel(folder)
const kinds = {
  plain: {},
  lookup: { speculative: 'prompt-lookup' },
  itself: { speculative: { draft: model } },
}
const base = { maxTokens, temperature: 0, reasoning: false, cache: 'none' }
const ask = (animal) => ({ role: 'user', content: `Tell me a story about a ${animal}.` })
const told = (text) => [ask('fox'), { role: 'assistant', content: text }, ask('wolf')]
const { text: first } = await model.generate([ask('fox')], base)
const { text: second } = await model.generate(told(first), base)
const messages = told(second.replaceAll('wolf', 'fox'))

const speeds = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))
const guesses = {}
const answers = new Set()
for (let round = 0; round <= rounds; round += 1) {
  for (const [kind, options] of Object.entries(kinds)) {
    const { text, usage, timings } = await model.generate(messages, { ...base, ...options })
    answers.add(text)
    guesses[kind] = usage
    // The first round warms up.
    if (round > 0) speeds[kind].push(timings.generationTokensPerSecond)
  }
}
await model.dispose()
if (answers.size > 1) throw new Error('the answers differ')
if (maxTokens >= 200 && !answers.has(second)) throw new Error('more than one word was changed')
const accepted = ({ acceptedTokens, draftedTokens }) => acceptedTokens / draftedTokens
console.log(
  JSON.stringify({
    ...Object.fromEntries(Object.entries(speeds).map(([kind, values]) => [kind, median(values)])),
    lookupAccepted: accepted(guesses.lookup),
    itselfAccepted: accepted(guesses.itself),
  }),
)
