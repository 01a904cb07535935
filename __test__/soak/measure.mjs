// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { existsSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const OWN = '/proc/self'

/**
 * Resident memory in bytes, without what V8 keeps free: the parts of its heap grow in steps. On Linux also how many threads
 * and file descriptors there are.
 */
export function resources() {
  const { rss: resident, heapTotal, heapUsed } = process.memoryUsage()
  const rss = resident - (heapTotal - heapUsed)
  if (!existsSync(OWN)) return { rss }
  const [threads, descriptors] = ['task', 'fd'].map((what) => readdirSync(`${OWN}/${what}`).length)
  return { rss, threads, descriptors }
}

/** The resources that are left once garbage has been collected, and what it held on to has been let go. */
export async function settledResources() {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc()
    await sleep(5)
  }
  return resources()
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

/** How y grows with x, by least squares. */
export function slope(points) {
  const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return covariance / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

/** Whole numbers below a limit, the same ones every time: the MINSTD generator. */
export function generator(seed) {
  let state = seed
  return (limit) => {
    state = (state * 48_271) % 0x7fffffff
    return state % limit
  }
}

/** What a scenario found; `bound` is the most that it may be. */
export function figure(what, value, unit, bound) {
  return { what, value, unit, bound }
}

/** Threads and descriptors that have come, where they can be counted. */
export function growth(start, end, threads = 0) {
  if (start.threads === undefined) return []
  return [
    figure('growth of threads', end.threads - start.threads, '', threads),
    figure('growth of descriptors', end.descriptors - start.descriptors, '', 0),
  ]
}
