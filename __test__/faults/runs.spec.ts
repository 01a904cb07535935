// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { expectCodes, inChild } from '../helpers/child'
import { llama, makeLongModel } from '../helpers/models'

// Runs that end long after any test has: what stops them is what is tested.
const LONG = { maxTokens: 90_000, ignoreEos: true, temperature: 0 }
// A cancelled run may finish the step that is under way, and the one queued behind it.
const FEW_STEPS = 20

const longModel = makeLongModel()

test('row 40: an abort stops the run within a step, at any point, and other runs continue', async () => {
  const { outcomes, steps, other } = await inChild(
    async ({ load, mlx, addon, outcome, sleep, stepsUntilIdle }, { folder, LONG: options }) => {
      const model = await load(folder)
      const found: Record<string, Awaited<ReturnType<typeof outcome>>> = {}
      const left: Record<string, number> = {}
      const reason = new Error('enough')

      const before = addon.engineSteps()
      const aborted = { ...options, signal: AbortSignal.abort(reason) }
      found['before the start'] = await outcome(model.generate([1], aborted))
      left['before the start'] = addon.engineSteps() - before

      const early = new AbortController()
      const queue = [1, 2, 3, 4].map((id) =>
        model.generate([id], { maxTokens: 20, ignoreEos: true }),
      )
      const queued = outcome(model.generate([5], { ...options, signal: early.signal }))
      early.abort(reason)
      found['in the queue'] = await queued
      const lengths = (await Promise.all(queue)).map((result) => result.tokens.length)

      const prefill = new AbortController()
      found['in the prompt'] = await outcome(
        model.generate(new Uint32Array(20_000), {
          ...options,
          prefillStepSize: 16,
          signal: prefill.signal,
          onPromptProgress: ({ processed }) => processed > 0 && prefill.abort(reason),
        }),
      )
      left['in the prompt'] = await stepsUntilIdle()

      const decode = new AbortController()
      const running = outcome(model.generate([1], { ...options, signal: decode.signal }))
      await sleep(50)
      decode.abort(reason)
      const atAbort = addon.engineSteps()
      found['in the answer'] = await running
      left['in the answer'] = addon.engineSteps() - atAbort + (await stepsUntilIdle())

      const aborter = new AbortController()
      const loading = outcome(mlx.loadModel(folder, { signal: aborter.signal }))
      aborter.abort(reason)
      found['in loading'] = await loading

      const late = new AbortController()
      const onProgress = () => late.abort(reason)
      found['in reading weights'] = await outcome(
        mlx.loadModel(folder, { signal: late.signal, onProgress }),
      )
      const { tokens } = await model.generate([1], { maxTokens: 20, ignoreEos: true })
      lengths.push(tokens.length)
      return { outcomes: found, steps: left, other: lengths }
    },
    { folder: longModel, LONG },
  )
  expectCodes(outcomes, 'ABORT_ERR')
  for (const { name } of Object.values(outcomes)) expect(name).toBe('AbortError')
  expect(other).toEqual([20, 20, 20, 20, 20])
  expect(steps['before the start']).toBe(0)
  for (const left of Object.values(steps)) expect(left).toBeLessThanOrEqual(FEW_STEPS)
})

test('row 41: breaking out of the loop, or dropping the Generation, stops the run', async () => {
  const steps = await inChild(
    async ({ load, sleep, stepsUntilIdle }, { folder, LONG: options }) => {
      const model = await load(folder)
      const left: Record<string, number> = {}
      for await (const _ of model.generate([1], options)) break
      left['break'] = await stepsUntilIdle()

      try {
        for await (const _ of model.generate([1], options)) throw new Error('mine')
      } catch (error) {
        if ((error as Error).message !== 'mine') throw error
      }
      left['throw'] = await stepsUntilIdle()

      const iterator = model.generate([1], options)[Symbol.asyncIterator]()
      await iterator.next()
      await iterator.return?.()
      left['return'] = await stepsUntilIdle()

      const drop = async (isRead: boolean) => {
        const dropped = model.generate([1], options)[Symbol.asyncIterator]()
        if (isRead) await dropped.next()
      }
      for (const isRead of [true, false]) {
        await drop(isRead)
        await sleep(10)
        globalThis.gc?.()
        await sleep(10)
        left[isRead ? 'iterator dropped' : 'never read'] = await stepsUntilIdle()
      }
      return left
    },
    { folder: longModel, LONG },
  )
  for (const [name, left] of Object.entries(steps)) {
    expect(left, name).toBeLessThanOrEqual(FEW_STEPS)
  }
})

test('row 42: a slow reader blocks nobody, and misses no chunk', async () => {
  const { other, read } = await inChild(async ({ load, observe, sleep }, folder) => {
    const model = await load(folder)
    const options = { ignoreEos: true, temperature: 0 }
    const { runs, steps } = observe(() => model.generate([1], { ...options, maxTokens: 200 }))
    const slow = runs[Symbol.asyncIterator]()
    const first = await slow.next()
    let count = first.done ? 0 : first.value.tokens.length
    const fast = await model.generate([2], { ...options, maxTokens: 100 })
    // It does not wait for its reader.
    while ((steps()[0] ?? 0) < 200) await sleep(10)
    for await (const chunk of slow) count += chunk.tokens.length
    return { other: fast.tokens.length, read: count }
  }, longModel)
  expect(other).toBe(100)
  expect(read).toBe(200)
})

test('row 43: an exception in a callback reaches the caller', async () => {
  const outcomes = await inChild(async ({ mlx, model, outcome, stepsUntilIdle }, folder) => {
    const fail = () => {
      throw new RangeError('my own')
    }
    const generate = await outcome(
      model.generate([1, 2], { onPromptProgress: fail, maxTokens: 500, ignoreEos: true }),
    )
    const steps = await stepsUntilIdle()
    return { generate, load: await outcome(mlx.loadModel(folder, { onProgress: fail })), steps }
  }, llama)
  expect(outcomes.generate).toMatchObject({ name: 'RangeError', message: 'my own' })
  expect(outcomes.load).toMatchObject({ name: 'RangeError', message: 'my own' })
  expect(outcomes.steps).toBeLessThanOrEqual(FEW_STEPS)
})

test('row 44: dispose ends loads and runs, twice does nothing, and nothing works after it', async () => {
  const outcomes = await inChild(
    async ({ load, mlx, outcome, sleep, stepsUntilIdle }, { folder, LONG: options }) => {
      const loading = new AbortController()
      const aborted = outcome(mlx.loadModel(folder, { signal: loading.signal }))
      loading.abort()

      const model = await load(folder)
      const chat = model.chat()
      const running = outcome(model.generate([1], options))
      const iterated = outcome(async () => {
        for await (const _ of model.generate([2], options));
      })
      await sleep(30)
      await Promise.all([model.dispose(), model.dispose()])
      const found = {
        'awaited run': await running,
        'iterated run': await iterated,
        generate: await outcome(model.generate('hello')),
        chat: await outcome(chat.send('hello')),
        encode: await outcome(model.tokenizer.encode('hello')),
        decode: await outcome(model.tokenizer.decode([1])),
        render: await outcome(model.tokenizer.applyChatTemplate([{ role: 'user', content: 'a' }])),
      }
      await model.dispose()
      return {
        found,
        load: await aborted,
        steps: await stepsUntilIdle(),
        memory: model.memoryUsage,
      }
    },
    { folder: longModel, LONG },
  )
  expectCodes(outcomes.found, 'ERR_MODEL_DISPOSED')
  expect(outcomes.load.code).toBe('ABORT_ERR')
  expect(outcomes.steps).toBeLessThanOrEqual(FEW_STEPS)
  expect(outcomes.memory).toBe(0)
})

test('row 44: an unreferenced model lives until its runs end', async () => {
  const tokens = await inChild(async ({ mlx, sleep }, folder) => {
    const start = async () => {
      const options = { maxTokens: 2000, ignoreEos: true, temperature: 0 }
      return [(await mlx.loadModel(folder)).generate([1], options)]
    }
    const runs = await start()
    for (let round = 0; round < 5; round += 1) {
      globalThis.gc?.()
      await sleep(5)
    }
    return (await Promise.all(runs)).map((result) => result.tokens.length)
  }, longModel)
  expect(tokens).toEqual([2000])
})

test.each(['sync', 'async', 'engine'] as const)(
  'row 45: a panic (%s) is an internal error, and the process lives',
  async (where) => {
    const ended = await inChild(
      async ({ addon, outcome }, place) =>
        outcome(async () => (place === 'sync' ? addon.injectPanic() : addon.injectPanicAt(place))),
      where,
    )
    expect(JSON.parse(ended.message ?? '')).toMatchObject({ code: 'ERR_INTERNAL' })
  },
)
