// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { connectModel } from './node_modules/node-mlx/dist/electron/renderer.mjs'

const [messages, form, question, send, stop, status] = [
  '#messages',
  '#form',
  '#question',
  '#send',
  '#stop',
  '#status',
].map((id) => document.querySelector(id))

let chat
try {
  const model = await connectModel()
  chat = model.chat({ messages: [{ role: 'system', content: 'Answer briefly.' }] })
  status.textContent = `${model.modelType} on the ${model.device}`
  send.disabled = false
} catch (error) {
  status.textContent = error.message
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = question.value.trim()
  if (text === '' || send.disabled) return
  question.value = ''
  addMessage('user', text)
  await answer(text, addMessage('assistant', ''))
})

async function answer(text, paragraph) {
  const run = chat.send(text, { maxTokens: 1000 })
  const onStop = () => run.cancel()
  stop.addEventListener('click', onStop)
  send.disabled = true
  stop.disabled = false
  try {
    for await (const { type, text: part } of run) if (type === 'text') paragraph.textContent += part
    const { usage, timings } = await run
    const speed = timings.generationTokensPerSecond.toFixed(1)
    status.textContent = `${usage.completionTokens} tokens, ${speed} tokens/s`
  } catch (error) {
    // After an error the chat is as before the question, and can go on.
    status.textContent = error.code === 'ABORT_ERR' ? 'stopped' : error.message
  } finally {
    stop.removeEventListener('click', onStop)
    send.disabled = false
    stop.disabled = true
  }
}

function addMessage(role, text) {
  const paragraph = document.createElement('p')
  paragraph.className = role
  paragraph.textContent = text
  messages.append(paragraph)
  return paragraph
}
