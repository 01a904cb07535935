// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a machine may lack: memory, a GPU, a binary.

import { cpSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { devices } from 'node-mlx'
import { expect, test } from 'vitest'
import { inChild } from '../helpers/child'
import { llama, makeModel, root, scratch } from '../helpers/models'
import { floats } from '../helpers/safetensors'

const hasGpu = devices().includes('gpu')

/** Why a test is skipped, for its title. */
const unless = (isSo: boolean, reason: string): string => (isSo ? '' : ` (skipped: ${reason})`)

const WIDTH = 32_768
// In a layer this wide they take a quarter of a gigabyte, or more than any GPU has.
const TOKENS = { cpu: 2000, gpu: 900_000 }
const HEADROOM = 64 * 2 ** 20

const canRunOut = { cpu: process.platform === 'linux', gpu: hasGpu }
const WHY_NOT = { cpu: 'memory can be limited on Linux only', gpu: 'there is no GPU' }

for (const device of ['cpu', 'gpu'] as const) {
  const reason = unless(canRunOut[device], WHY_NOT[device])
  test.skipIf(!canRunOut[device])(
    `row 38: memory of the ${device} that runs out midway fails that run alone${reason}`,
    async () => {
      const data = { folder: makeWideModel(), tokens: TOKENS[device], headroom: HEADROOM }
      const { large, small } = await inChild(
        async ({ load, outcome }, { folder, tokens, headroom }) => {
          const { execFileSync } = process.getBuiltinModule('node:child_process')
          const { readFileSync } = process.getBuiltinModule('node:fs')
          const limitMemory = (bytes: number | 'unlimited') =>
            execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:unlimited`])
          const model = await load(folder)
          const options = { temperature: 0, ignoreEos: true, prefillStepSize: 1_000_000 }
          const run = async (length: number) =>
            outcome(async () => {
              const prompt = new Uint32Array(length)
              return (await model.generate(prompt, { ...options, maxTokens: 5 })).tokens.length
            })
          const isLimited = model.device === 'cpu'
          if (isLimited) {
            const [, held] =
              /VmSize:\s+(\d+) kB/u.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
            limitMemory(Number(held) * 1024 + headroom)
          }
          const found = { large: await run(tokens), small: await run(10) }
          if (isLimited) limitMemory('unlimited')
          return found
        },
        data,
        { device },
      )
      expect(large.code).toBe('ERR_OUT_OF_MEMORY')
      expect(small).toEqual({ value: 5 })
    },
  )
}

test.skipIf(hasGpu)(
  `row 39: a GPU that is asked for and absent is unavailable${unless(!hasGpu, 'there is a GPU')}`,
  async () => {
    const { asked, found } = await inChild(
      async ({ mlx, outcome }, folder) => ({
        asked: await outcome(mlx.loadModel(folder, { device: 'gpu' })),
        found: mlx.devices(),
      }),
      llama,
      { isFirst: true },
    )
    expect(asked).toMatchObject({ code: 'ERR_DEVICE_UNAVAILABLE', details: { device: 'gpu' } })
    expect(asked.message).toContain('gpu')
    expect(found).toEqual(['cpu'])
  },
)

test('row 39: a process that computes on the CPU rejects a model for the GPU', async () => {
  const asked = await inChild(
    async ({ mlx, outcome }, folder) => outcome(mlx.loadModel(folder, { device: 'gpu' })),
    llama,
  )
  expect(asked).toMatchObject({
    code: 'ERR_DEVICE_UNAVAILABLE',
    details: { device: 'gpu', reason: 'this process already computes on the cpu' },
  })
})

test('row 56: without a binary, the platform and its package are named', async () => {
  const folder = mkdtempSync(join(scratch(), 'package-'))
  for (const name of ['dist', 'index.js', 'package.json']) {
    cpSync(join(root, name), join(folder, name), { recursive: true })
  }
  const found = await inChild(
    async ({ outcome }, entry) => {
      const { createRequire } = process.getBuiltinModule('node:module')
      const require = createRequire(entry)
      const original = { platform: process.platform, arch: process.arch }
      const on = async (platform: string, arch: string) => {
        Object.defineProperties(process, { platform: { value: platform }, arch: { value: arch } })
        const ended = await outcome(() => require(entry))
        const { platform: was, arch: had } = original
        Object.defineProperties(process, { platform: { value: was }, arch: { value: had } })
        return ended
      }
      return {
        linux: await on('linux', 'x64'),
        mac: await on('darwin', 'arm64'),
        'old Mac': await on('darwin', 'x64'),
        windows: await on('win32', 'x64'),
        other: await on('sunos', 'sparc'),
      }
    },
    join(folder, 'dist/index.js'),
  )
  const names = {
    linux: ['linux-x64', 'node-mlx-linux-x64-gnu'],
    mac: ['darwin-arm64', 'node-mlx-darwin-arm64'],
    'old Mac': ['darwin-x64', undefined],
    windows: ['win32-x64', 'node-mlx-win32-x64-msvc'],
    other: ['sunos-sparc', undefined],
  } as const
  for (const [name, [platform, binary]] of Object.entries(names)) {
    const { code, message, details } = found[name as keyof typeof names]
    expect([name, code]).toEqual([name, 'ERR_BINARY_MISSING'])
    expect(message).toContain(platform)
    expect(message).toContain(binary ?? 'node-mlx-linux-x64-gnu')
    expect(details).toEqual({ platform, ...(binary && { package: binary }) })
  }
})

/** The tiny model, which takes much memory for each token. */
function makeWideModel(): string {
  const shapes = { gate_proj: [WIDTH, 32], up_proj: [WIDTH, 32], down_proj: [32, WIDTH] }
  return makeModel({
    config: { intermediate_size: WIDTH, max_position_embeddings: 1_000_000 },
    weights: (tensors) => {
      // The last layer looks at the last position only.
      for (const layer of [0, 1])
        for (const [name, shape] of Object.entries(shapes))
          tensors.set(
            `model.layers.${layer}.mlp.${name}.weight`,
            floats(shape, new Float32Array(32 * WIDTH)),
          )
    },
  })
}

test('a value that a variable of the kernels cannot have fails the load', async () => {
  const variables = { NODE_MLX_KERNELS: 'sse', NODE_MLX_THREADS: '0' }
  const outcomes = await inChild(
    async ({ mlx, outcome }, { folder, values }) => {
      const found = []
      for (const [name, value] of Object.entries(values)) {
        process.env[name] = value
        found.push(await outcome(mlx.loadModel(folder, { device: 'cpu' })))
        process.env[name] = ''
      }
      return found
    },
    { folder: llama, values: variables },
    { isFirst: true },
  )
  for (const [index, [name, value]] of Object.entries(variables).entries()) {
    const { code, details, message } = outcomes[index] ?? {}
    expect({ code, details }).toEqual({ code: 'ERR_INVALID_ARG_VALUE', details: { name } })
    expect(message).toContain(`got '${value}'`)
  }
})

test.skipIf(process.platform !== 'linux')(
  'as many threads compute as were asked for, and none when no model is left',
  async () => {
    const counts = await inChild(
      async ({ mlx, sleep }, folder) => {
        const { readdirSync, readFileSync } = process.getBuiltinModule('node:fs')
        const nameOf = (id: string) => {
          try {
            return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim()
          } catch {
            return 'has ended'
          }
        }
        const count = () =>
          readdirSync('/proc/self/task').filter((id) => nameOf(id) === 'cpu-kernels').length
        // A thread gets its name when it first runs, and is listed a little longer than it is waited for.
        const settled = async (expected: number) => {
          const end = performance.now() + 20_000
          while (count() !== expected && performance.now() < end) await sleep(5)
          await sleep(50)
          return count()
        }
        const found = []
        for (const threads of [3, 1, 5]) {
          await mlx.setThreads(threads)
          const model = await mlx.loadModel(folder, { device: 'cpu' })
          await model.generate('Hi', { maxTokens: 2 })
          const during = await settled(threads - 1)
          await model.dispose()
          found.push([during, await settled(0)])
        }
        return found
      },
      llama,
      { isFirst: true },
    )
    // The inference thread is one of them.
    expect(counts).toEqual([
      [2, 0],
      [0, 0],
      [4, 0],
    ])
  },
)
