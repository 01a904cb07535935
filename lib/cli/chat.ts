// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Generation } from '../generation'
import type { Model } from '../model'
import type { Message, SendOptions } from '../types'
import { printError, writeAnswer } from './answer'
import type { Output } from './args'
import { formatCount } from './format'
import { readLines } from './prompt'
import { bold, dim, printable } from './style'

const HELP = `/help         print this help
/system TEXT  set the system message; "off" removes it, and without TEXT it is printed
/reset        start a new conversation
/quit         quit, like Ctrl-D, or Ctrl-C at an empty prompt
Ctrl-C        stop the answer
↑ ↓           go through earlier questions`

/** Chats with the model until the input ends, `/quit`, or Ctrl-C while no answer is in progress. */
export async function chat(
  model: Model,
  system: string | undefined,
  options: SendOptions,
  output: Output,
): Promise<void> {
  const conversation = new Conversation(model, system, options)
  let answering: Generation | undefined
  const interrupt = (): boolean => {
    const isAnswering = answering !== undefined
    answering?.cancel()
    answering = undefined
    return isAnswering
  }
  const isInteractive = process.stdin.isTTY && process.stdout.isTTY && !output.json
  if (isInteractive) greet(model)
  for await (const line of readLines(interrupt)) {
    const text = line.trim()
    if (text === '/quit') break
    if (text === '' || conversation.command(text)) continue
    answering = conversation.send(text)
    await writeAnswer(answering, output).catch(reportFailure)
    answering = undefined
    if (isInteractive) console.log()
  }
}

/** A chat, and the commands that change it. */
class Conversation {
  readonly #chat: ReturnType<Model['chat']>
  #system: string | undefined

  constructor(model: Model, system: string | undefined, options: SendOptions) {
    this.#chat = model.chat({ ...options, messages: toMessages(system) })
    this.#system = system
  }

  send(question: string): Generation {
    return this.#chat.send(question)
  }

  /** Does what a command says; returns false if the text is none. */
  command(text: string): boolean {
    const [, name, argument = ''] = /^\/([a-z]+)(?:\s+(.*))?$/u.exec(text) ?? []
    if (name === 'help') console.error(HELP)
    else if (name === 'system') this.#setSystem(argument)
    else if (name === 'reset') this.#reset()
    // Input from elsewhere is not typed by someone who knows these commands.
    else if (name !== undefined && process.stdin.isTTY) {
      console.error(`there is no command /${name}; /help lists them`)
    } else return false
    return true
  }

  #setSystem(text: string): void {
    if (text !== '') {
      this.#system = text === 'off' ? undefined : text
      const rest = this.#chat.messages.filter(({ role }) => role !== 'system')
      this.#chat.messages = [...toMessages(this.#system), ...rest]
    }
    const system = this.#system === undefined ? 'none' : printable(this.#system)
    console.error(`system message: ${system}`)
  }

  #reset(): void {
    this.#chat.reset()
    this.#chat.messages = toMessages(this.#system)
    if (process.stderr.isTTY) console.error('new conversation')
  }
}

function toMessages(system: string | undefined): Message[] {
  return system === undefined ? [] : [{ role: 'system', content: system }]
}

function greet(model: Model): void {
  const { stdout } = process
  const bits = model.quantization && `${model.quantization.bits} bits`
  const properties = [
    `${formatCount(model.parameterCount)} parameters`,
    ...(bits === undefined ? [] : [bits]),
    `on the ${model.device.toUpperCase()}`,
  ]
  console.log(bold(printable(model.id), stdout))
  console.log(dim(properties.join(', '), stdout))
  console.log(dim('/help, /system TEXT, /reset, /quit; Ctrl-C stops an answer', stdout))
  console.log()
}

/** Prints the error of a failed answer, which does not end the conversation. A stopped answer is no failure. */
function reportFailure(error: Error): void {
  if (error.name !== 'AbortError') printError(error)
  else if (process.stderr.isTTY) {
    console.error(dim('stopped; not part of the conversation', process.stderr))
  }
}
