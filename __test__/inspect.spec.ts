// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { mkdtempSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadModel, inspectModel, loadModel, memoryUsage } from 'node-mlx'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ID, refuse, startHub } from './helpers/hub-server'
import { fixture, letters, llama, makeModel, scratch } from './helpers/models'
import { withHeaderLength } from './helpers/safetensors'
import { makeSparseModel } from './helpers/sparse-model'

const names = ['llama-bf16', 'qwen3-4bit', 'gemma3_text-4bit', 'qwen3_next-4bit', 'gpt_oss-mxfp4']

test.each(names)('%s has the same properties as once it is loaded', async (name) => {
  const folder = makeModel({ from: fixture(name), files: { 'tokenizer.json': letters() } })
  const inspected = await inspectModel(folder, { device: 'cpu' })
  await using model = await loadModel(folder, { device: 'cpu' })
  expect(inspected).toMatchObject({
    id: model.id,
    modelType: model.modelType,
    contextLength: model.contextLength,
    vocabSize: model.vocabSize,
    parameterCount: model.parameterCount,
    quantization: model.quantization,
    device: 'cpu',
    fileSize: statSync(join(folder, 'model.safetensors')).size,
    memory: { weights: model.memoryUsage, context: model.contextLength },
  })
})

test('the KV cache grows with the context', async () => {
  const cache = async (context: number, name = 'llama'): Promise<number> =>
    (await inspectModel(fixture(name), { context })).memory.cache
  // 2 layers of keys and values for 2 heads of 8 floats each, in steps of 256 tokens
  const step = 2 * 2 * 2 * 8 * 4 * 256
  expect(await cache(1)).toBe(step)
  expect(await cache(257)).toBe(2 * step)
  expect((await inspectModel(llama)).memory).toMatchObject({ cache: 2 * step, context: 512 })
  // Layers with a window need no more at some point, those without do.
  const [short, long, longer] = [
    await cache(256, 'gemma3_text-4bit'),
    await cache(2560, 'gemma3_text-4bit'),
    await cache(25_600, 'gemma3_text-4bit'),
  ]
  expect(long).toBeLessThan(10 * short)
  expect(longer - long).toBeGreaterThan(0)
})

test('no weights are read, however many there are', async () => {
  const folder = makeSparseModel()
  const before = await memoryUsage()
  const { parameterCount, contextLength, fileSize, memory } = await inspectModel(folder)
  const after = await memoryUsage()
  expect(after.active - before.active).toBeLessThan(1e6)
  expect(after.peak - before.peak).toBeLessThan(1e6)
  expect(parameterCount).toBeGreaterThan(68e9)
  expect(contextLength).toBe(131_072)
  expect(fileSize).toBeGreaterThan(136e9)
  expect(memory.weights).toBeGreaterThan(136e9)
  expect(memory.available).toBeGreaterThan(0)
})

test('only configs and headers of a Hub model are downloaded, and none are kept', async () => {
  const hub = await startHub()
  const temporary = mkdtempSync(join(scratch(), 'temporary-'))
  vi.stubEnv('TMPDIR', temporary)
  onTestFinished(() => void vi.unstubAllEnvs())
  const { id, ...inspected } = await inspectModel(ID, hub.options)
  const { id: _, ...expected } = await inspectModel(llama)
  expect(id).toBe(ID)
  const { memory, ...rest } = expected
  expect(inspected).toMatchObject({ ...rest, memory: { ...memory, available: expect.any(Number) } })
  expect(hub.fileRequests().join('\n')).not.toContain('tokenizer')
  expect(readdirSync(hub.options.cacheDir)).toEqual([])
  expect(readdirSync(temporary)).toEqual([])

  const folder = await downloadModel(ID, hub.options)
  const requests = hub.requests.length
  expect(folder).toContain(ID.replace('/', '--'))
  await inspectModel(ID, { ...hub.options, offline: true })
  expect(hub.requests).toHaveLength(requests)
})

test('a header from the Hub with an invalid length, or that ends early, is rejected', async () => {
  const hub = await startHub()
  const weights = 'model.safetensors'
  const good = hub.files[weights] as Buffer
  hub.files[weights] = Buffer.from(withHeaderLength(good, 2n ** 62n))
  const inspection = (): Promise<unknown> => inspectModel(ID, hub.options)
  await expect(inspection()).rejects.toMatchObject({ code: 'ERR_WEIGHTS_INVALID' })
  hub.files[weights] = Buffer.from(withHeaderLength(good, BigInt(good.length)))
  await expect(inspection()).rejects.toMatchObject({ code: 'ERR_WEIGHTS_INVALID' })
  hub.intercept = ({ path }, response) => path.includes('resolve') && refuse(response, 404)
  await expect(inspection()).rejects.toMatchObject({ code: 'ERR_HUB_NOT_FOUND' })
})

test('headers are downloaded a few at a time, and none after a failure', async () => {
  const shards = Array.from({ length: 30 }, (_, index) => `model-${index}.safetensors`)
  const hub = await startHub(Object.fromEntries(shards.map((name) => [name, Buffer.alloc(9)])))
  let open = 0
  let most = 0
  hub.intercept = async ({ host, path }, response) => {
    if (host === 'hub') return false
    open += 1
    most = Math.max(most, open)
    await sleep(20)
    open -= 1
    // The others never get an answer.
    return path.includes('model-7.') ? refuse(response, 416) : true
  }
  await expect(inspectModel(ID, hub.options)).rejects.toMatchObject({
    code: 'ERR_DOWNLOAD_CORRUPT',
  })
  expect(most).toBeLessThanOrEqual(8)
  const requests = hub.requests.length
  await sleep(800)
  expect(hub.requests).toHaveLength(requests)
})

test('empty files are reported once', async () => {
  const hub = await startHub()
  hub.files['generation_config.json'] = Buffer.alloc(0)
  hub.files['model.safetensors'] = Buffer.alloc(0)
  await expect(inspectModel(ID, hub.options)).rejects.toMatchObject({ code: 'ERR_WEIGHTS_INVALID' })
  expect(hub.fileRequests().join('\n')).not.toContain('model.safetensors')
})

test('errors are those of loadModel', async () => {
  const incomplete = makeModel({ weights: (tensors) => tensors.delete('lm_head.weight') })
  const failures: [() => Promise<unknown>, string][] = [
    [() => inspectModel(join(scratch(), 'nowhere')), 'ERR_MODEL_NOT_FOUND'],
    [() => inspectModel(makeModel({ config: { hidden_size: -1 } })), 'ERR_CONFIG_INVALID'],
    [() => inspectModel(incomplete), 'ERR_WEIGHTS_MISMATCH'],
    [() => inspectModel(llama, { context: 0 }), 'ERR_OUT_OF_RANGE'],
    [() => inspectModel(llama, { maxQueue: 3 } as object), 'ERR_INVALID_ARG_VALUE'],
  ]
  for (const [inspection, code] of failures)
    await expect(inspection()).rejects.toMatchObject({ code })
})
