// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { inChild } from '../helpers/child'
import { makeModel } from '../helpers/models'

const RUNS = 1000
const MAX_TOKENS = 6
const PAIRS = 20
/** Other work of the machine can only make a time longer, so the shortest of several is the nearest to ours. */
const SHORTEST = { retry: { count: 10, delay: 500 } }

test(
  '1,000 runs at once take turns and settle, and the event loop stays free',
  SHORTEST,
  async () => {
    const { tokens, observed, lag } = await inChild(
      async ({ load, observe, eventLoopLag, sleep }, { folder, count, maxTokens }) => {
        const model = await load(folder)
        const options = { temperature: 1, maxTokens, ignoreEos: true }
        const stop = eventLoopLag()
        const { runs, steps } = observe(() =>
          Array.from({ length: count }, (_, seed) =>
            model.generate([seed % 256, 1, 2], { ...options, seed }),
          ),
        )
        const start = steps()
        let settled = false
        const results = Promise.all(runs).finally(() => (settled = true))
        const found: { least: number; most: number }[] = []
        while (!settled) {
          await sleep(20)
          const now = steps()
          const made = now.map((step, index) => step - (start[index] ?? 0))
          const going = made.filter((_, index) => (now[index] ?? 0) < maxTokens)
          if (going.length > 1) found.push({ least: Math.min(...going), most: Math.max(...going) })
        }
        return {
          tokens: (await results).map((run) => run.tokens.length),
          observed: found,
          lag: stop(),
        }
      },
      { folder: makeShallowModel(), count: RUNS, maxTokens: MAX_TOKENS },
    )
    expect(tokens).toEqual(Array.from({ length: RUNS }, () => MAX_TOKENS))
    // Fair within a factor of two in steps, and sharper once there are many: all ask for the same, so since the moment
    // when all had asked, no run that goes on has made more than one step more than another. One is for the engine,
    // which goes on while we look at one run after the other.
    for (const { least, most } of observed) expect(most).toBeLessThanOrEqual(least + 1 + 1)
    const steps = new Set(observed.map(({ least }) => least))
    expect(steps.size).toBeGreaterThan(MAX_TOKENS / 2)
    expect(lag.p99).toBeLessThan(20)
  },
)

test(
  'a reader that sleeps changes the speed of others by less than 10 %',
  { retry: 3 },
  async () => {
    const windows = await inChild(
      async ({ load, observe, sleep }, { folder, pairs }) => {
        const model = await load(folder)
        // With a cache that does not grow, so that the last step costs no more than the first.
        const options = { maxTokens: 90_000, ignoreEos: true, temperature: 0, maxKvSize: 64 }
        const { runs, steps } = observe(() => [1, 2, 3].map((id) => model.generate([id], options)))
        let nap: Promise<void> | undefined
        const readers = runs.map(async (run, index) => {
          for await (const _ of run) if (index === 0) await nap
        })
        const now = () => performance.now()
        const measured: { asleep: boolean; ofWork: number; ofTime: number; lead: number }[] = []
        for (let window = 0; window < 2 * pairs; window++) {
          // Awake, asleep, asleep, awake: a steady change of the machine's speed favours neither.
          const asleep = window % 4 === 1 || window % 4 === 2
          nap = asleep ? sleep(150) : undefined
          await sleep(20)
          const [start, used, [mine = 0, ...others]] = [now(), process.cpuUsage(), steps()]
          await sleep(100)
          const [ms, { user, system }] = [now() - start, process.cpuUsage(used)]
          const [mineNow = 0, ...othersNow] = steps()
          const made = othersNow.map((count, index) => count - (others[index] ?? 0))
          const sum = made.reduce((total, one) => total + one, 0)
          const lead = Math.max(...made.map((one) => Math.abs(one - (mineNow - mine))))
          measured.push({ asleep, ofWork: sum / (user + system), ofTime: sum / ms, lead })
          await (nap ?? sleep(30))
          // What waited is read before the next window.
          await sleep(20)
        }
        for (const run of runs) run.cancel()
        await Promise.allSettled(readers)
        return measured
      },
      { folder: makeDeepModel(), pairs: PAIRS },
    )
    // Neighbours are compared, as a machine with other work may change its speed within a second.
    const change = (kind: 'ofWork' | 'ofTime') =>
      median(
        windows.flatMap((window, index) => {
          const next = windows[index + 1]
          if (next === undefined || index % 2 === 1) return []
          return [next.asleep ? next[kind] / window[kind] : window[kind] / next[kind]]
        }),
      )
    // By the time of the processor: how much of it this process gets changes too much from one window to the next.
    expect(Math.abs(change('ofWork') - 1)).toBeLessThan(0.1)
    // And they do not wait for the sleeper.
    expect(change('ofTime')).toBeGreaterThan(0.5)
    // The sleeper's own run goes on as well: what it makes waits to be read.
    for (const { lead } of windows) expect(lead).toBeLessThanOrEqual(2)
  },
)

/** A model whose steps cost so much that reading a token of them, also on a CPU, costs nothing beside it. */
function makeDeepModel(): string {
  const layers = 16
  return makeModel({
    config: { num_hidden_layers: layers, max_position_embeddings: 100_000 },
    weights: (tensors) => {
      for (const [name, tensor] of Array.from(tensors))
        if (name.includes('layers.1.'))
          for (let layer = 2; layer < layers; layer++)
            tensors.set(name.replace('layers.1.', `layers.${layer}.`), tensor)
    },
  })
}

/** The tiny model with one layer, as a step costs a millisecond for each on a slow CPU. */
function makeShallowModel(): string {
  return makeModel({
    config: { num_hidden_layers: 1 },
    weights: (tensors) => {
      for (const name of tensors.keys()) if (name.includes('layers.1.')) tensors.delete(name)
    },
  })
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low = NaN, high = NaN] = sorted.slice((sorted.length - 1) / 2)
  return sorted.length % 2 === 1 ? low : (low + high) / 2
}
