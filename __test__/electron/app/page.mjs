// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The functions that the case `page` calls.

import { connectModel, NodeMlxError } from './node_modules/node-mlx/dist/electron/renderer.mjs'

const answer = document.querySelector('#answer')
const stop = document.querySelector('#stop')
let model

globalThis.connect = () =>
  reporting(async () => {
    model = await connectModel()
    const { id, contextLength } = model
    return { id, contextLength }
  })

globalThis.ask = (prompt, options) =>
  reporting(async () => {
    const run = model.generate(prompt, options)
    const { chunks, streamed } = await show(run)
    return { chunks, streamed, shown: answer.textContent, text: (await run).text }
  })

globalThis.askAndStop = async (options) => {
  const run = model.generate('Tell me a story.', options)
  stop.addEventListener('click', () => run.cancel(), { once: true })
  let chunks = 0
  const onChunk = () => {
    chunks += 1
    if (chunks === 5) stop.click()
  }
  return { ...(await reporting(() => show(run, onChunk))), chunks }
}

async function show(run, onChunk = () => {}) {
  answer.textContent = ''
  let chunks = 0
  let streamed = ''
  for await (const chunk of run) {
    chunks += 1
    streamed += chunk.text
    answer.textContent = streamed
    onChunk()
  }
  return { chunks, streamed }
}

async function reporting(act) {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof NodeMlxError)) throw error
    const { code, details } = error
    return { code, ...(details !== undefined && { details }) }
  }
}
