// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Draws a recording as SVG. Each version of a row is a text that is visible for its time; where nothing moves, the last
// screen is seen.

import xterm from '@xterm/headless'

const CELL = { width: 8.4, height: 19 }
const PADDING = 16
const FRAMES_PER_SECOND = 30
const BAR = 34
const COLORS = {
  window: '#1b1f27',
  bar: '#262b35',
  text: '#d7dce5',
  dim: '#828a99',
  bold: '#ffffff',
}
const LIGHTS = ['#ff5f57', '#febc2e', '#28c840']
const FONTS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

/** Returns the SVG of asciicast events on a screen of `width` columns and `height` rows. */
export async function toSvg(events, { width, height }) {
  const terminal = new xterm.Terminal({ cols: width, rows: height, allowProposedApi: true })
  const rows = Array.from({ length: height }, () => [{ from: 0, runs: [] }])
  for (const [index, [time, , output]] of events.entries()) {
    await new Promise((resolve) => {
      terminal.write(output, resolve)
    })
    const [next] = events[index + 1] ?? []
    if (next !== undefined && frameAt(next) === frameAt(time)) continue
    for (const [y, versions] of rows.entries()) {
      const runs = readRow(terminal.buffer.active, y)
      const last = versions.at(-1)
      if (JSON.stringify(runs) === JSON.stringify(last.runs)) continue
      last.to = time
      versions.push({ from: time, runs })
    }
  }
  const texts = rows.flatMap((versions, y) => versions.flatMap((version) => toTexts(version, y)))
  return frame(texts, width * CELL.width + 2 * PADDING, height * CELL.height + BAR + 2 * PADDING)
}

function frameAt(seconds) {
  return Math.floor(seconds * FRAMES_PER_SECOND)
}

/** The row's runs of equal style, without the spaces around them. */
function readRow(buffer, y) {
  const line = buffer.getLine(buffer.viewportY + y)
  const runs = []
  for (let x = 0; x < line.length; x += 1) {
    const cell = line.getCell(x)
    const style = cell.isBold() ? 'bold' : cell.isDim() ? 'dim' : 'text'
    const last = runs.at(-1)
    if (last?.style === style) last.text += cell.getChars() || ' '
    else runs.push({ x, style, text: cell.getChars() || ' ' })
  }
  return runs
    .map(({ x, style, text }) => ({
      x: x + text.length - text.trimStart().length,
      style,
      text: text.trim(),
    }))
    .filter(({ text }) => text !== '')
}

function toTexts({ from, to, runs }, y) {
  return runs.map(({ x, style, text }) => {
    const left = round(PADDING + x * CELL.width)
    const top = round(BAR + PADDING + (y + 0.75) * CELL.height)
    const length = round(text.length * CELL.width)
    const place = `x="${left}" y="${top}" textLength="${length}" class="${style}"`
    const written = escape(text)
    if (to === undefined)
      return `<text ${place}>${written}${from > 0 ? set('hidden', 0, from) : ''}</text>`
    return `<text ${place} visibility="hidden">${written}${set('visible', from, to)}</text>`
  })
}

/** Sets the visibility for a time. */
function set(visibility, from, to) {
  const seconds = round(to - from)
  return `<set attributeName="visibility" to="${visibility}" begin="${round(from)}s" dur="${seconds}s"/>`
}

function frame(texts, width, height) {
  const lights = LIGHTS.map((color, index) => {
    return `<circle cx="${PADDING + 6 + index * 20}" cy="${BAR / 2}" r="6" fill="${color}"/>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>A chat with node-mlx in a terminal</title>
<style>text { font: 14px ${FONTS}; fill: ${COLORS.text}; white-space: pre } .dim { fill: ${COLORS.dim} } .bold { fill: ${COLORS.bold}; font-weight: bold }</style>
<rect width="100%" height="100%" rx="10" fill="${COLORS.window}"/>
<path d="M0 ${BAR}V10A10 10 0 0 1 10 0H${width - 10}A10 10 0 0 1 ${width} 10V${BAR}Z" fill="${COLORS.bar}"/>
${lights.join('\n')}
${texts.join('\n')}
</svg>
`
}

function round(number) {
  return Number(number.toFixed(2))
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
