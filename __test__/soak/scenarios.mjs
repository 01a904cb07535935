// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The scenarios of run.mjs, which says how to run them: prints the figures of one as a line of JSON.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadModel, memoryUsage } from 'node-mlx'
import { requests } from './requests.mjs'
import {
  figure,
  generator,
  growth,
  median,
  resources,
  settledResources,
  slope,
} from './measure.mjs'

const root = join(import.meta.dirname, '../..')
const llama = join(root, '__test__/fixtures/llama')
const demo = join(root, 'models/demo')
const addon = createRequire(import.meta.url)('../../index.js')

const MB = 2 ** 20
const GREEDY = { temperature: 0, ignoreEos: true }
// A cancelled run may finish the step that is under way, and the one queued behind it.
const FEW_STEPS = 20
const ABORTS_AT_ONCE = 8
// Texts are tokenized on threads, one or more at a time, and a thread may not be free again yet when the next begins.
const MAX_THREADS = { one: 2, many: 24 }
// More tokens than runs bring before they are stopped.
const MANY = 10_000_000

const scenarios = { generations, cycles, aborts, requests, runs, sleep: sleeper }
const [name, size] = process.argv.slice(2)
process.stdout.write(JSON.stringify(await scenarios[name](Number(size))))

/** Short generations, one after the other, half of them read piece by piece. */
async function generations(count) {
  const model = await loadModel(llama)
  const memory = []
  let start
  for (let index = 1; index <= count; index += 1) {
    const run = model.generate(`Say ${index}!`, { temperature: 1, seed: index, maxTokens: 8 })
    if (index % 2 === 0) await run
    else for await (const _ of run);
    if (index % 100 !== 0 || index < Math.min(1000, count / 2)) continue
    const now = await settledResources()
    start ??= now
    memory.push([index, now.rss])
  }
  const end = await settledResources()
  await model.dispose()
  const each = slope(memory)
  return [
    figure('growth of resident memory, each', each, 'B', 1024),
    ...growth(start, end, MAX_THREADS.one),
  ]
}

/** Loads and disposes of two models in turns. */
async function cycles(count) {
  let half
  let end
  let active = 0
  for (let index = 1; index <= count; index += 1) {
    const model = await loadModel(index % 2 === 0 ? llama : demo)
    await model.generate([1, 2, 3], { ...GREEDY, maxTokens: 4 })
    await model.dispose()
    active = Math.max(active, (await memoryUsage()).active)
    if (index % 10 !== 0) continue
    end = await settledResources()
    if (index <= count / 2) half = end
  }
  return [
    figure('growth of resident memory, second half', (end.rss - half.rss) / MB, 'MB', 5),
    figure('arrays left after a dispose', active, 'B', 0),
    ...growth(half, end),
  ]
}

/** Aborts runs, some at a time, after so many milliseconds or tokens: in the queue, in the prompt, in the answer. */
async function aborts(count) {
  const folder = longModel(llama)
  const model = await loadModel(folder)
  const below = generator(1)
  const answer = async () =>
    String((await model.generate([1, 2, 3], { ...GREEDY, maxTokens: 20 })).tokens)
  const before = await answer()
  const abortOne = async () => {
    const controller = new AbortController()
    const prompt = Array.from({ length: 1 + below(300) }, (_, index) => index % 256)
    // None ends by itself before it is stopped.
    const limits = { maxTokens: 90_000, prefillStepSize: 1 + below(64) }
    const options = { ...GREEDY, ...limits, signal: controller.signal }
    const run = model.generate(prompt, options)
    const code = run.then(
      () => 'no error',
      (error) => error.code,
    )
    if (below(3) === 0) await sleep(below(10))
    else await readTokens(run, below(60))
    controller.abort()
    return code
  }
  const codes = []
  let half
  let end
  while (codes.length < count) {
    const some = Math.min(ABORTS_AT_ONCE, count - codes.length)
    codes.push(...(await Promise.all(Array.from({ length: some }, abortOne))))
    if (codes.length % 40 === 0) {
      end = await settledResources()
      if (codes.length <= count / 2) half = end
    }
  }
  const steps = addon.engineSteps()
  await sleep(200)
  const left = addon.engineSteps() - steps
  const after = await answer()
  await model.dispose()
  rmSync(folder, { recursive: true })
  const others = codes.filter((code) => code !== 'ABORT_ERR').length
  return [
    figure('runs that ended without ABORT_ERR', others, '', 0),
    figure('steps after the last abort', left, '', FEW_STEPS),
    figure('answers that are other than before', after === before ? 0 : 1, '', 0),
    figure('growth of resident memory, second half', (end.rss - half.rss) / MB, 'MB', 5),
    ...growth(half, end),
  ]
}

/** Reads a run until it has brought so many tokens. */
async function readTokens(run, count) {
  const iterator = run[Symbol.asyncIterator]()
  for (let read = 0; read < count;) {
    const { value } = await iterator.next()
    read += value.tokens.length
  }
}

/** Many runs at once. */
async function runs(count) {
  const maxTokens = 24
  const model = await loadModel(llama, { maxQueue: count })
  const options = { temperature: 1, ignoreEos: true, maxTokens }
  await model.generate('Hello', options)
  const start = await settledResources()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const called = performance.now()
  const all = Array.from({ length: count }, (_, seed) =>
    model.generate(`Hello ${seed}`, { ...options, seed }),
  )
  const calls = performance.now() - called
  const settling = Promise.all(all)
  await sleep(100)
  const during = resources()
  const results = await settling
  delay.disable()
  // A run that starts reads how much memory is free, from a file.
  const { descriptors } = await settledResources()
  await model.dispose()
  const short = results.filter(({ tokens }) => tokens.length !== maxTokens).length
  // The timer that measures is due once a millisecond.
  const late = (nanoseconds) => nanoseconds / 1e6 - 1
  return [
    figure('runs without all their tokens', short, '', 0),
    figure('a call of generate holds the event loop', (1000 * calls) / count, 'µs'),
    figure('event loop is late, 99th percentile', late(delay.percentile(99)), 'ms', 20),
    figure('event loop is late, at most', late(delay.max), 'ms'),
    ...growth(start, { ...during, descriptors }, MAX_THREADS.many),
  ]
}

/** A reader that sleeps for so many seconds, nine times, beside two that do not. */
async function sleeper(seconds) {
  // Its steps cost so much that reading a token of them costs nothing beside it.
  const folder = longModel(demo)
  const model = await loadModel(folder)
  // The last step is to cost no more than the first.
  const options = { ...GREEDY, maxTokens: MANY - 1, maxKvSize: 64 }
  const generate = (id) => model.generate([id], options)
  const mine = generate(1)
  const others = [generate(2), generate(3)]
  let nap = Promise.resolve()
  let read = 0
  const readers = [
    (async () => {
      for await (const _ of mine) await nap
    })(),
    ...others.map(async (run) => {
      for await (const { tokens } of run) read += tokens.length
    }),
  ]
  // By the time of the processor: how much of it others leave to this process changes.
  const speed = async () => {
    const [start, before] = [process.cpuUsage(), read]
    await sleep(1000 * seconds)
    const { user, system } = process.cpuUsage(start)
    return (read - before) / (user + system)
  }
  await sleep(500)
  const ratios = []
  let before = await speed()
  for (let round = 0; round < 9; round += 1) {
    nap = sleep(1000 * seconds)
    const asleep = await speed()
    await nap
    const after = await speed()
    ratios.push((2 * asleep) / (before + after))
    before = after
  }
  for (const run of [mine, ...others]) run.cancel()
  await Promise.allSettled(readers)
  await model.dispose()
  rmSync(folder, { recursive: true })
  const change = Math.abs(median(ratios) - 1)
  return [figure('change of the speed of others', 100 * change, '%', 10)]
}

/** A copy of a model with a longer context. */
function longModel(model) {
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-soak-'))
  cpSync(model, folder, { recursive: true })
  const path = join(folder, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...config, max_position_embeddings: MANY }))
  return folder
}
