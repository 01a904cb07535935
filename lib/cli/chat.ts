// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createInterface } from 'node:readline'
import type { Generation } from '../generation'
import type { Model } from '../model'
import type { Message, SendOptions } from '../types'
import { printError, writeAnswer } from './answer'
import type { Output } from './args'

/** Chats with the model until the input ends, `/quit`, or Ctrl-C while no answer is in progress. */
export async function chat(
  model: Model,
  system: readonly Message[],
  options: SendOptions,
  output: Output,
): Promise<void> {
  const terminal = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: process.stdin.isTTY ? '> ' : '',
  })
  const conversation = model.chat({ ...options, messages: system })
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
    if (question === '/reset') conversation.reset()
    else if (question !== '') {
      answering = conversation.send(question)
      await writeAnswer(answering, output).catch(reportFailure)
      answering = undefined
    }
    if (isOpen) terminal.prompt()
  }
  terminal.close()
}

/** Prints the error of a failed answer, which does not end the conversation. A stopped answer is no failure. */
function reportFailure(error: Error): void {
  if (error.name !== 'AbortError') printError(error)
}
