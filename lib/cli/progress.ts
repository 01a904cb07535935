// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { isTrue } from '../hub/settings'
import type { LoadProgress } from '../types'
import { formatBytes, formatDuration } from './format'
import { CLEAR_LINE, columnsOf, isScreen } from './style'

/** What takes less time than this is not drawn. */
const DELAY_MS = 300
const INTERVAL_MS = 100
/** The speed is the average over this time. */
const WINDOW_MS = 5000
const WIDTH = { most: 24, least: 8 }
const TITLES = { download: 'downloading', load: 'loading' }

type Amount = Pick<LoadProgress, 'loaded' | 'total'>
type Sample = { time: number; loaded: number }

/**
 * Returns a callback that draws the progress of downloads and of loading as one line on standard error; `undefined`
 * where that is not a terminal.
 */
export function progressBar(): ((progress: LoadProgress) => void) | undefined {
  const { stderr } = process
  if (!isScreen(stderr) || isTrue(process.env['HF_HUB_DISABLE_PROGRESS_BARS'])) return undefined
  let task = ''
  let startedAt = 0
  let samples: Sample[] = []
  let isDrawn = false

  return ({ stage, loaded, total }) => {
    const time = performance.now()
    if (task !== `${stage} ${total}`) {
      task = `${stage} ${total}`
      startedAt = time
      samples = []
    }
    if (loaded === total) {
      if (isDrawn) stderr.write(CLEAR_LINE)
      isDrawn = false
      task = ''
      return
    }
    const last = samples.at(-1)
    if (last !== undefined && time - last.time < INTERVAL_MS) return
    samples = [...samples.filter((sample) => time - sample.time <= WINDOW_MS), { time, loaded }]
    if (time - startedAt < DELAY_MS) return
    const line = progressLine(TITLES[stage], { loaded, total }, speed(samples), columnsOf(stderr))
    stderr.write(`${CLEAR_LINE}${line}`)
    isDrawn = true
  }
}

/** Bytes per second, once there are two samples. */
function speed(samples: readonly Sample[]): number {
  const [first, last] = [samples.at(0), samples.at(-1)]
  if (first === undefined || last === undefined || first === last) return 0
  return ((last.loaded - first.loaded) / (last.time - first.time)) * 1000
}

/** Formats progress as a line shorter than `columns`, without the bar if there is no room for it. */
export function progressLine(
  title: string,
  { loaded, total }: Amount,
  bytesPerSecond: number,
  columns: number,
): string {
  const share = loaded / total
  const details = [
    `${Math.floor(share * 100)}%`.padStart(4),
    `${formatBytes(loaded)} of ${formatBytes(total)}`,
    ...(bytesPerSecond > 0
      ? [
          `${formatBytes(bytesPerSecond)}/s`,
          `${formatDuration((total - loaded) / bytesPerSecond)} left`,
        ]
      : []),
  ].join('  ')
  // Two spaces on both sides of the bar, and the last column free.
  const room = columns - title.length - details.length - 5
  const width = Math.min(WIDTH.most, room)
  const full = Math.floor(share * width)
  const bar = width < WIDTH.least ? [] : ['█'.repeat(full) + '░'.repeat(width - full)]
  return [title, ...bar, details].join('  ').slice(0, columns - 1)
}
