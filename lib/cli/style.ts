// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What is written to terminals only. Pipes and files get plain text.

export const CLEAR_LINE = '\r\u001B[K'

/** Whether a stream is a terminal that understands control sequences. */
export function isScreen(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && process.env['TERM'] !== 'dumb'
}

/** The width of a terminal; some do not tell it. */
export function columnsOf(stream: NodeJS.WriteStream): number {
  return stream.columns || 80
}

/** Dims text on a terminal. */
export function dim(text: string, stream: NodeJS.WriteStream): string {
  return style(text, stream, 2)
}

/** Makes text bold on a terminal. */
export function bold(text: string, stream: NodeJS.WriteStream): string {
  return style(text, stream, 1)
}

function style(text: string, stream: NodeJS.WriteStream, code: number): string {
  if (text === '' || !isScreen(stream) || process.env['NO_COLOR']) return text
  return `\u001B[${code}m${text}\u001B[22m`
}

/** Text of others for a terminal, which must not take it for control sequences. */
export function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, '')
}
