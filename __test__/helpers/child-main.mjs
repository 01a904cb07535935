// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The child process of a fault test; child.ts says what it is for.

import { createRequire } from 'node:module'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { runInThisContext } from 'node:vm'
import * as mlx from 'node-mlx'

const addon = createRequire(import.meta.url)('../../index.js')

const { scenario, data, good } = await json(process.stdin)
const model = await mlx.loadModel(good, { device: 'cpu' })
const before = await goodAnswer()
const memory = process.resourceUsage().maxRSS

// The scenario's parameters are all it may use, so its text is enough to run it here.
const run = runInThisContext(`(${scenario})`)
const loaded = []
const answer = await run({ mlx, addon, model, load, outcome, sleep, stepsUntilIdle }, data)
for (const extra of loaded) await extra.dispose()

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
