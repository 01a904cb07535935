// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { connectModel, NodeMlxError, type Chat } from 'node-mlx/electron/renderer'

const messages = find('#messages')
const form = find('#form')
const question = find<HTMLInputElement>('#question')
const send = find<HTMLButtonElement>('#send')
const stop = find<HTMLButtonElement>('#stop')
const status = find('#status')

async function start(): Promise<void> {
  try {
    const model = await connectModel()
    const chat = model.chat({ messages: [{ role: 'system', content: 'Answer briefly.' }] })
    form.addEventListener('submit', (event) => void submit(event, chat))
    status.textContent = `${model.modelType} on the ${model.device}`
    send.disabled = false
  } catch (error) {
    status.textContent = String(error)
  }
}

async function submit(event: Event, chat: Chat): Promise<void> {
  event.preventDefault()
  const text = question.value.trim()
  if (text === '' || send.disabled) return
  question.value = ''
  addMessage('user', text)
  await answer(chat, text, addMessage('assistant', ''))
}

async function answer(chat: Chat, text: string, paragraph: HTMLElement): Promise<void> {
  const run = chat.send(text, { maxTokens: 1000 })
  const onStop = (): void => run.cancel()
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
    const stopped = error instanceof NodeMlxError && error.code === 'ABORT_ERR'
    status.textContent = stopped ? 'stopped' : String(error)
  } finally {
    stop.removeEventListener('click', onStop)
    send.disabled = false
    stop.disabled = true
  }
}

function addMessage(role: string, text: string): HTMLElement {
  const paragraph = document.createElement('p')
  paragraph.className = role
  paragraph.textContent = text
  messages.append(paragraph)
  return paragraph
}

function find<T extends HTMLElement>(selector: string): T {
  const found = document.querySelector<T>(selector)
  if (found === null) throw new Error(`the page has no ${selector}`)
  return found
}

await start()
