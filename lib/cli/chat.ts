// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createInterface } from 'node:readline'
import type { Generation } from '../generation'
import type { Model } from '../model'
import type { GenerateOptions, Message } from '../types'
import { printError, writeAnswer } from './answer'

/** Talks with the model until the input ends, `/quit`, or Ctrl-C while nothing is being said. */
export async function chat(
  model: Model,
  system: readonly Message[],
  options: GenerateOptions,
): Promise<void> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: process.stdin.isTTY ? '> ' : '',
  })
  let messages: readonly Message[] = system
  let answering: Generation | undefined
  terminal.on('SIGINT', () => {
    if (answering === undefined) terminal.close()
    answering?.cancel()
    answering = undefined
  })

  let isOpen = true
  terminal.on('close', () => {
    isOpen = false
  })

  terminal.prompt()
  for await (const line of terminal) {
    const question = line.trim()
    if (question === '/quit') break
    if (question === '/reset') messages = system
    else if (question !== '') {
      const asked: Message[] = [...messages, { role: 'user', content: question }]
      answering = model.generate(asked, options)
      const answer = await writeAnswer(answering).catch(reportFailure)
      answering = undefined
      if (answer !== undefined) messages = [...asked, { role: 'assistant', content: answer }]
    }
    if (isOpen) terminal.prompt()
  }
  terminal.close()
}

/** A failed answer does not end the conversation; a stopped one is no failure. */
function reportFailure(error: Error): undefined {
  if (error.name !== 'AbortError') printError(error)
}
