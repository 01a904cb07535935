// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The child process of a fault test; child.ts says what it is for.

import { createRequire } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { runInThisContext } from 'node:vm'
import * as mlx from 'node-mlx'

const addon = createRequire(import.meta.url)('../../index.js')

const { scenario, data, good, device, isFirst } = await json(process.stdin)
let model = isFirst ? undefined : await mlx.loadModel(good, { device })
const before = isFirst ? undefined : await goodAnswer()
const memory = process.resourceUsage().maxRSS

// The scenario's parameters are all it may use, so its text is enough to run it here.
const run = runInThisContext(`(${scenario})`)
const loaded = []
const tools = { mlx, addon, model, load, eventLoopLag, observe, outcome, sleep, stepsUntilIdle }
const answer = await run(tools, data)
for (const extra of loaded) await extra.dispose()

model ??= await mlx.loadModel(good, { device })
const after = await goodAnswer()
const growth = (process.resourceUsage().maxRSS - memory) * 1024
process.stdout.write(`${JSON.stringify({ answer, growth, before, after })}\n`)

async function goodAnswer() {
  const { tokens } = await model.generate([1, 2, 3], {
    maxTokens: 8,
    ignoreEos: true,
    temperature: 0,
  })
  return tokens
}

async function load(folder) {
  const extra = await mlx.loadModel(folder)
  loaded.push(extra)
  return extra
}

function eventLoopLag() {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  return () => {
    delay.disable()
    // The timer that measures is due once a millisecond.
    return { p99: delay.percentile(99) / 1e6 - 1, max: delay.max / 1e6 - 1 }
  }
}

function observe(start) {
  const { prototype } = addon.NativeModel
  const { generate } = prototype
  const natives = []
  prototype.generate = function (...args) {
    const native = generate.apply(this, args)
    natives.push(native)
    return native
  }
  try {
    return { runs: start(), steps: () => natives.map((native) => native.steps) }
  } finally {
    prototype.generate = generate
  }
}

async function outcome(of) {
  try {
    const value = await (typeof of === 'function' ? of() : of)
    if (value?.tokenizer === undefined) return { value }
    await value.dispose()
    return { value: 'a model' }
  } catch (error) {
    const { code, name, message, details } = error
    return { code, name, message, details }
  }
}

async function stepsUntilIdle() {
  const start = addon.engineSteps()
  let last
  let now = start
  do {
    last = now
    await sleep(30)
    now = addon.engineSteps()
  } while (now !== last)
  return now - start
}
