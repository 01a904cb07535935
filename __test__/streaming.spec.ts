// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createWriteStream, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadModel, type Generation, type GenerationChunk, type Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type * as Addon from '../index.js'
import { makeLongModel, scratch } from './helpers/models'

const addon = createRequire(import.meta.url)('../index.js') as typeof Addon

const SHORT = { maxTokens: 40, ignoreEos: true, temperature: 0 }
const ENDLESS = { maxTokens: 90_000, ignoreEos: true, temperature: 0 }
// A cancelled run may finish the step that is under way, and the one queued behind it.
const FEW_STEPS = 20

let model: Model

beforeAll(async () => {
  model = await loadModel(makeLongModel())
})

afterAll(async () => {
  await model.dispose()
})

test('awaiting returns the complete answer', async () => {
  const result = await model.generate([1], SHORT)
  expect(result.tokens).toHaveLength(40)
  const { tokenizer } = model
  expect(result.text).toBe(await tokenizer.decode(result.tokens, { skipSpecialTokens: true }))
})

test('iterating yields the chunks of the same answer', async () => {
  const whole = await model.generate([1], SHORT)
  const chunks = await collect(model.generate([1], SHORT))
  expect(chunks.flatMap((chunk) => chunk.tokens)).toEqual(whole.tokens)
  expect(textOf(chunks)).toBe(whole.text)
  expect(chunks.every((chunk) => chunk.type === 'text')).toBe(true)
})

test('awaiting, iterating twice and iterating afterwards share one run', async () => {
  const before = addon.engineSteps()
  const generation = model.generate([1], SHORT)
  const [result, one, two] = await Promise.all([
    generation,
    collect(generation),
    collect(generation),
  ])
  const afterwards = await collect(generation)
  expect(textOf(one)).toBe(result.text)
  expect(two).toEqual(one)
  expect(afterwards).toEqual(one)
  expect(await generation).toBe(result)
  expect(addon.engineSteps() - before).toBeLessThanOrEqual(40 + FEW_STEPS)
})

test('a run starts immediately, before it is read', async () => {
  const before = addon.engineSteps()
  const generation = model.generate([1], SHORT)
  await expect.poll(() => addon.engineSteps() - before).toBeGreaterThanOrEqual(40)
  expect((await generation).tokens).toHaveLength(40)
})

test('break stops the run and ends the loop; awaiting then rejects with an abort', async () => {
  const generation = model.generate([1], ENDLESS)
  let chunks = 0
  for await (const _ of generation) {
    chunks += 1
    if (chunks === 3) break
  }
  expect(await idle()).toBeLessThanOrEqual(FEW_STEPS)
  await expect(generation).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
})

test('break after the end changes nothing', async () => {
  const generation = model.generate([1], { ...SHORT, maxTokens: 5 })
  const result = await generation
  for await (const _ of generation) break
  expect(await generation).toBe(result)
})

test('cancel stops the run, and its reader gets an abort', async () => {
  const generation = model.generate([1], ENDLESS)
  const reading = collect(generation)
  await sleep(20)
  generation.cancel()
  generation.cancel()
  await expect(reading).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
  expect(await idle()).toBeLessThanOrEqual(FEW_STEPS)
})

test('a signal that is aborted before the start costs no step', async () => {
  const before = addon.engineSteps()
  const reason = new Error('no need')
  const generation = model.generate([1], { ...ENDLESS, signal: AbortSignal.abort(reason) })
  await expect(generation).rejects.toMatchObject({ name: 'AbortError', cause: reason })
  await expect(collect(generation)).rejects.toMatchObject({ code: 'ABORT_ERR' })
  expect(addon.engineSteps()).toBe(before)
})

test('a signal that is aborted midway stops the run', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const generation = model.generate([1], { ...ENDLESS, signal: controller.signal })
  for await (const _ of generation) {
    controller.abort(reason)
    break
  }
  expect(await idle()).toBeLessThanOrEqual(FEW_STEPS)
  await expect(generation).rejects.toMatchObject({ name: 'AbortError', cause: reason })
})

test('one signal can be used for many runs, and is released after them', async () => {
  const warnings: Error[] = []
  process.on('warning', (warning) => warnings.push(warning))
  const { signal } = new AbortController()
  let listeners = 0
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners += 1
    addEventListener.apply(signal, args)
  }
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners -= 1
    removeEventListener.apply(signal, args)
  }
  const runs = Array.from({ length: 30 }, () => model.generate([1], { maxTokens: 2, signal }))
  expect(listeners).toBe(1)
  await Promise.all(runs)
  await sleep(0)
  expect(listeners).toBe(0)
  expect(warnings).toEqual([])
})

test('disposing of the model midway stops the run', async () => {
  const short = await loadModel(makeLongModel())
  const generation = short.generate([1], ENDLESS)
  const reading = collect(generation)
  await sleep(20)
  await Promise.all([
    expect(reading).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' }),
    expect(generation).rejects.toMatchObject({ code: 'ERR_MODEL_DISPOSED' }),
    short.dispose(),
  ])
  expect(await idle()).toBeLessThanOrEqual(FEW_STEPS)
})

test('a Generation can be disposed of', async () => {
  {
    await using generation = model.generate([1], ENDLESS)
    for await (const chunk of generation) if (chunk.tokens.length > 0) break
  }
  const before = addon.engineSteps()
  await sleep(20)
  expect(addon.engineSteps()).toBe(before)
})

describe('the text alone', () => {
  const TEXT = { ...SHORT, maxTokens: 200 }

  test('can be iterated, any number of times', async () => {
    const generation = model.generate([1], TEXT)
    const [one, two] = await Promise.all([
      collect(generation.textStream),
      collect(generation.textStream),
    ])
    const { text } = await generation
    expect(one.join('')).toBe(text)
    expect(one.length).toBeGreaterThan(10)
    expect(one).not.toContain('')
    expect(two).toEqual(one)
    expect(await collect(generation.textStream)).toEqual(one)
  })

  test('is a body for a Response, in UTF-8', async () => {
    const { text } = await model.generate([1], TEXT)
    // Outside of ASCII, or the encoding would not matter.
    expect(Buffer.byteLength(text)).toBeGreaterThan(text.length)
    const response = new Response(model.generate([1], TEXT).toReadableStream())
    expect(await response.text()).toBe(text)
    const again = model.generate([1], TEXT)
    for (const _ of [1, 2]) expect(await new Response(again.toReadableStream()).text()).toBe(text)
  })

  test('can be written to a file, as a web stream or as an iterable', async () => {
    const generation = model.generate([1], TEXT)
    const { text } = await generation
    const path = join(scratch(), 'answer.txt')
    for (const source of [
      generation.toReadableStream(),
      generation.textStream,
      Readable.from(generation.textStream),
    ]) {
      await pipeline(source, createWriteStream(path))
      expect(readFileSync(path, 'utf8')).toBe(text)
    }
  })

  test.each<[string, (generation: Generation) => Promise<unknown>]>([
    [
      'a loop that is left',
      async ({ textStream }) => {
        for await (const _ of textStream) break
      },
    ],
    [
      'a stream that is cancelled',
      async (generation) => {
        const reader = generation.toReadableStream().getReader()
        await reader.read()
        await reader.cancel()
      },
    ],
    ['a stream that is cancelled unread', (generation) => generation.toReadableStream().cancel()],
    [
      'a client that leaves',
      async (generation) => {
        const reader = new Response(generation.toReadableStream()).body?.getReader()
        await reader?.read()
        await reader?.cancel()
      },
    ],
  ])('stops the run by %s', async (_, leave) => {
    const generation = model.generate([1], ENDLESS)
    await leave(generation)
    expect(await idle()).toBeLessThanOrEqual(FEW_STEPS)
    await expect(generation).rejects.toMatchObject({ code: 'ABORT_ERR' })
  })

  test('reports the error of the run, and none that nobody reads', async () => {
    const unhandled: unknown[] = []
    process.on('unhandledRejection', (reason) => unhandled.push(reason))
    const failing = model.generate([1], { ...SHORT, temperature: -1 })
    failing.toReadableStream()
    const expected = { code: 'ERR_OUT_OF_RANGE' }
    await expect(collect(failing.textStream)).rejects.toMatchObject(expected)
    const response = new Response(failing.toReadableStream())
    await expect(response.text()).rejects.toMatchObject(expected)
    await sleep(20)
    expect(unhandled).toEqual([])
  })

  test('is not held back by a stream that nobody reads, nor lost', async () => {
    const generation = model.generate([1], TEXT)
    const stream = generation.toReadableStream()
    const { text } = await generation
    expect(await new Response(stream).text()).toBe(text)
  })
})

test('two runs at once take turns', async () => {
  const order: string[] = []
  const before = addon.engineSteps()
  const read = async (name: string, id: number) => {
    for await (const _ of model.generate([id], { ...SHORT, maxTokens: 300 })) order.push(name)
  }
  await Promise.all([read('a', 1), read('b', 2)])
  const firstB = order.indexOf('b')
  const lastA = order.lastIndexOf('a')
  expect(firstB).toBeLessThan(lastA)
  expect(order.indexOf('a')).toBeLessThan(order.lastIndexOf('b'))
  expect(addon.engineSteps() - before).toBeGreaterThan(300)
})

test('an unobserved error raises no unhandled rejection', async () => {
  const unhandled: unknown[] = []
  process.on('unhandledRejection', (reason) => unhandled.push(reason))
  model.generate('', SHORT)
  const generation = model.generate([1], { ...SHORT, temperature: -1 })
  await expect(collect(generation)).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  await sleep(20)
  expect(unhandled).toEqual([])
})

async function collect<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of iterable) items.push(item)
  return items
}

function textOf(chunks: readonly GenerationChunk[]): string {
  return chunks.map((chunk) => chunk.text).join('')
}

/** Waits until the engine stands still, and tells how many steps that took. */
async function idle(): Promise<number> {
  const start = addon.engineSteps()
  for (let last = -1; last !== addon.engineSteps();) {
    last = addon.engineSteps()
    await sleep(30)
  }
  return addon.engineSteps() - start
}
