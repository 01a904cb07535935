// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { emitKeypressEvents } from 'node:readline'
import { formatBytes } from './format'
import { fittingModels, type Choice } from './models'
import { bold, CLEAR_LINE, columnsOf, dim, isScreen, printable } from './style'

interface Key {
  name?: string
  ctrl?: boolean
}

/** Lets the user choose a model; `undefined` if none fits into memory, or if the user leaves. */
export async function chooseModel(): Promise<string | undefined> {
  const { choices, available } = await fittingModels()
  if (choices.length === 0) return undefined
  const { stdout } = process
  console.log(`No model given. These fit into the ${formatBytes(available)} of memory available:\n`)
  const index = await pick(toRows(choices))
  const id = index === undefined ? undefined : choices[index]?.id
  if (id !== undefined) console.log(`\n${dim(`Next time: npx node-mlx --model ${id}`, stdout)}\n`)
  return id
}

function toRows(choices: readonly Choice[]): string[] {
  const width = Math.max(...choices.map(({ id }) => id.length))
  return choices.map(({ id, size, isCached }, index) => {
    const state = isCached ? 'downloaded' : ''
    return `${index + 1}  ${printable(id.padEnd(width))}  ${formatBytes(size).padStart(9)}  ${state}`.trimEnd()
  })
}

/** Asks for one of up to nine rows: by its number, or with the arrow keys and Enter. `undefined`: Ctrl-C, Ctrl-D, Esc. */
async function pick(rows: readonly string[]): Promise<number | undefined> {
  const { stdin, stdout } = process
  // Elsewhere nothing can be redrawn, and numbers have to do.
  const canMove = isScreen(stdout)
  let selected = 0
  const draw = (): void => {
    for (const [index, row] of rows.entries()) {
      const isSelected = canMove && index === selected
      const line = `${isSelected ? '❯' : ' '} ${row}`.slice(0, columnsOf(stdout) - 1)
      stdout.write(`${canMove ? CLEAR_LINE : ''}${isSelected ? bold(line, stdout) : line}\n`)
    }
    const keys = canMove ? 'Press a number, or ↑ ↓ and Enter. Ctrl-C leaves.' : 'Press a number.'
    stdout.write(`\n${dim(keys, stdout)}`)
  }

  emitKeypressEvents(stdin)
  stdin.setRawMode(true)
  // Only now, as a key that is pressed before would go to the terminal: Ctrl-C would kill the process.
  draw()
  stdin.resume()
  return new Promise((resolve) => {
    const end = (index?: number): void => {
      stdin.off('keypress', onKey).off('end', end)
      stdin.setRawMode(false)
      stdin.pause()
      stdout.write('\n')
      resolve(index)
    }
    const onKey = (text: string | undefined, { name, ctrl }: Key): void => {
      const number = Number(text)
      if (number >= 1 && number <= rows.length) end(number - 1)
      else if (name === 'escape' || (ctrl && (name === 'c' || name === 'd'))) end()
      else if (canMove && name === 'return') end(selected)
      else if (canMove && (name === 'up' || name === 'down')) {
        selected = (selected + (name === 'up' ? rows.length - 1 : 1)) % rows.length
        stdout.write(`\u001B[${rows.length + 1}A`)
        draw()
      }
    }
    stdin.on('keypress', onKey).once('end', end)
  })
}
