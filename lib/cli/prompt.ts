// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

const PROMPT = '> '
const HISTORY_SIZE = 1000

/**
 * Yields the lines of standard input; on a terminal, with editing and a history, which lasts as long as the process.
 * While the caller works on a line, keys are not shown. Ctrl-C then calls `interrupt`, which returns false if there is
 * nothing to stop; at the prompt, it empties the line, or ends the lines if there is none.
 */
export async function* readLines(interrupt: () => boolean): AsyncGenerator<string> {
  const { stdin, stdout } = process
  const isTerminal = stdin.isTTY === true && stdout.isTTY === true
  const screen = new Screen()
  const editor = createInterface({
    input: stdin,
    output: isTerminal ? screen : stdout,
    terminal: isTerminal,
    prompt: stdin.isTTY ? PROMPT : '',
    historySize: HISTORY_SIZE,
    removeHistoryDuplicates: true,
  })
  /** Whether each waiting line was typed while an earlier one was worked on. */
  const waiting: boolean[] = []
  let isBusy = false
  let isOpen = true
  editor.on('SIGINT', () => {
    if (interrupt()) return
    if (editor.line === '') return editor.close()
    editor.write(null, { ctrl: true, name: 'e' })
    editor.write(null, { ctrl: true, name: 'u' })
  })
  editor.on('line', () => waiting.push(isBusy || waiting.length > 0))
  editor.on('close', () => {
    isOpen = false
    if (isTerminal && !isBusy) stdout.write('\n')
  })

  editor.prompt()
  try {
    for await (const line of editor) {
      if (waiting.shift() && isTerminal) stdout.write(`${line}\n`)
      isBusy = screen.isMuted = true
      yield line
      isBusy = screen.isMuted = false
      if (isOpen) editor.prompt()
    }
  } finally {
    editor.close()
  }
}

/** Standard output, which the editor of lines does not write to while it is muted. */
class Screen extends Writable {
  isMuted = false

  constructor() {
    super({
      decodeStrings: false,
      write: (text: string, _, done) => {
        if (!this.isMuted) process.stdout.write(text)
        done()
      },
    })
    process.stdout.on('resize', () => this.emit('resize'))
  }

  get columns(): number {
    return process.stdout.columns
  }
}
