// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What was doubtful about Macs before the package had run on one, in the order in which one would look. Skipped elsewhere.

import { spawn } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { loadModel } from 'node-mlx'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeBigModel } from '../helpers/big-model'
import { dtypeOf, fixtures, LIMITS } from '../helpers/golden'
import { inProcess, prefillSpeed, purge, wiredMemory } from '../helpers/macos'
import { fixture, letters, llama, makeLongModel, makeModel, root, scratch } from '../helpers/models'

const TIMEOUT_MS = 300_000
/** How long an abort or an exit may take. */
const MAX_END_MS = 2000
/** The priority of threads whose quality of service is "user-initiated"; 31 is the usual one. */
const USER_INITIATED = 37
const CONTEXT = 64
const PROMPT = Array.from({ length: 20_000 }, (_, index) => (7 * index + 3) % 256)

describe.skipIf(process.platform !== 'darwin')(
  'the first hour on a Mac',
  { timeout: TIMEOUT_MS },
  () => {
    let big = ''
    let weights = 0
    const long = makeLongModel()
    beforeAll(() => {
      big = makeBigModel()
      weights = statSync(join(big, 'model.safetensors')).size
    }, TIMEOUT_MS)

    test('1: without mlx.metallib, the error names it, and nothing runs on the CPU', async () => {
      const folder = mkdtempSync(join(scratch(), 'bare-'))
      for (const name of ['dist', 'index.js', 'package.json'])
        cpSync(join(root, name), join(folder, name), { recursive: true })
      for (const name of readdirSync(root))
        if (/\.(?:node|dylib)$/u.test(name)) copyFileSync(join(root, name), join(folder, name))
      const { stdout, stderr } = await inProcess(llama, "console.log('loaded')", { path: folder })
      expect(stdout + stderr).toContain('metallib')
      expect(stdout).not.toContain('loaded')
    })

    test('2: a slow disk delays loading, and no more', async ({ skip }) => {
      if (!purge()) skip('sudo asks for a password')
      const noise = join(scratch(), 'noise')
      const writer = spawn('sh', [
        '-c',
        `while true; do dd if=/dev/zero of='${noise}' bs=1m count=1000 2>/dev/null; sync; done`,
      ])
      onTestFinished(() => {
        writer.kill('SIGKILL')
        rmSync(noise, { force: true })
      })
      const program = `
        const { tokens } = await model.generate([1, 2, 3], { maxTokens: 4, ignoreEos: true })
        console.log(tokens.length)
      `
      const wrapper = ['taskpolicy', '-d', 'throttle']
      const { stdout, stderr } = await inProcess(big, program, { wrapper })
      expect({ stdout, stderr }).toEqual({ stdout: '4\n', stderr: '' })
    })

    test('3: a good model loads after one whose file was cut short meanwhile', async () => {
      const damaged = makeModel({ from: big })
      const path = join(damaged, 'model.safetensors')
      const cut = loadModel(damaged, {
        onProgress: () => truncateSync(path, Math.floor(weights / 4)),
      })
      await expect(cut).rejects.toMatchObject({ code: 'ERR_WEIGHTS_INVALID' })
      await using model = await loadModel(llama)
      const { tokens } = await model.generate([1], { maxTokens: 5, ignoreEos: true })
      expect(tokens).toHaveLength(5)
    })

    test('4: wired memory goes back when a model is disposed of', async () => {
      const before = wiredMemory()
      const model = await loadModel(big)
      await model.generate([1, 2, 3], { maxTokens: 20, ignoreEos: true })
      const during = wiredMemory()
      await model.dispose()
      // The system takes its time.
      await new Promise((resolve) => setTimeout(resolve, MAX_END_MS))
      const rest = wiredMemory() - before
      expect(rest, `${before} before, ${during} with the model`).toBeLessThan(weights / 2)
    })

    test("5: the engine's thread is user-initiated", async () => {
      const program = `
        const { execFileSync } = require('node:child_process')
        const generation = model.generate([1], { maxTokens: 90_000, ignoreEos: true })
        let most = 0
        for await (const _ of generation) {
          const threads = execFileSync('ps', ['-M', String(process.pid)], { encoding: 'utf8' })
          const found = threads.split('\\n').flatMap((line) => /\\s(\\d+)[TFR]\\s/.exec(line)?.[1] ?? [])
          most = Math.max(most, ...found.map(Number))
          if (performance.now() > 3000) break
        }
        console.log(most)
      `
      const { stdout } = await inProcess(long, program)
      expect(Number(stdout)).toBeGreaterThanOrEqual(USER_INITIATED)
    })

    test('6: larger command buffers change no token, and the cache is kept once', async () => {
      const program = `
        const results = []
        for (const length of [1, 4096, 16_384]) {
          const before = (await mlx.memoryUsage()).active
          const prompt = Array.from({ length }, (_, index) => (7 * index + 3) % 256)
          const run = model.generate(prompt, { maxTokens: 100, ignoreEos: true, temperature: 0, cache: 'none' })
          const samples = []
          for await (const _ of run) samples.push((await mlx.memoryUsage()).active - before)
          // When the cache grows, it is there twice.
          const held = samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)]
          results.push({ length, held, tokens: (await run).tokens })
        }
        console.log(JSON.stringify(results))
      `
      type Results = { length: number; held: number; tokens: number[] }[]
      const run = async (env: Record<string, string>) =>
        JSON.parse((await inProcess(long, program, { env })).stdout) as Results
      const usual = await run({})
      const large = await run({ MLX_MAX_OPS_PER_BUFFER: '1000', MLX_MAX_MB_PER_BUFFER: '400' })
      expect(large.map(({ tokens }) => tokens)).toEqual(usual.map(({ tokens }) => tokens))
      // Keys and values of two layers, with two heads of eight numbers in f32 each.
      const perToken = 2 * 2 * 2 * 8 * 4
      for (const { length, held } of [...usual, ...large])
        expect(held).toBeLessThan(1.5 * perToken * (length + 356) + 2 ** 20)
    })

    describe('7: a long prompt ends soon', () => {
      test('by an abort', async () => {
        await using model = await loadModel(big)
        const controller = new AbortController()
        const run = model.generate(PROMPT, { signal: controller.signal, maxTokens: 1 })
        const outcome = run.then(
          () => 'done',
          (error: unknown) => (error as { code?: string }).code,
        )
        await new Promise((resolve) => setTimeout(resolve, 500))
        const start = performance.now()
        controller.abort()
        expect(await outcome).toBe('ABORT_ERR')
        await model.generate([1], { maxTokens: 1 })
        expect(performance.now() - start).toBeLessThan(MAX_END_MS)
      })

      test.each([
        ['process.exit', 'process.exit(7)', { code: 7, signal: null }],
        ['SIGINT', "process.kill(process.pid, 'SIGINT')", { code: null, signal: 'SIGINT' }],
      ])('by %s', async (_, leave, end) => {
        const program = `
          const prompt = ${JSON.stringify(PROMPT)}
          setTimeout(() => { console.log(Date.now()); ${leave} }, 500)
          await model.generate(prompt, { maxTokens: 1 })
          console.log('done')
        `
        const { stdout, code, signal } = await inProcess(big, program)
        const took = Date.now() - Number(stdout)
        expect({ code, signal }).toEqual(end)
        expect(took).toBeLessThan(MAX_END_MS)
      })
    })

    test('8: an M5 reads prompts faster with the build for macOS 26', async ({ skip }) => {
      const addonOf = (name: string): string =>
        join(root, 'target/packages', name, 'node-mlx.darwin-arm64.node')
      const addons = ['', '-macos26'].map((suffix) => addonOf(`node-mlx-darwin-arm64${suffix}`))
      if (!/\bM5\b/u.test(cpus()[0]?.model ?? '')) skip('this is no M5')
      if (!addons.every((addon) => existsSync(addon))) skip('npm run pack -- --all has not run')
      const speeds: number[] = []
      for (const addon of addons)
        speeds.push(await prefillSpeed(big, { NAPI_RS_NATIVE_LIBRARY_PATH: addon }))
      const [usual = 0, newer = 0] = speeds
      expect(newer / usual).toBeGreaterThan(1.5)
    })

    test.each(fixtures)('9: prompts of any length are read as on the CPU: %s', async (name) => {
      const folder = makeModel({ from: fixture(name), files: { 'tokenizer.json': letters() } })
      const read = async (device: 'cpu' | 'gpu') => {
        await using model = await loadModel(folder, { device, contextLength: CONTEXT })
        const rows: Map<number, number>[] = []
        for (const length of [1, 7, 12, 40]) {
          const prompt = Array.from({ length }, (_, index) => (5 * index + 1) % CONTEXT)
          const options = { temperature: 0, ignoreEos: true, maxTokens: 1, logprobs: 20 }
          const { logprobs } = await model.generate(prompt, { ...options, cache: 'none' })
          rows.push(new Map(logprobs?.[0]?.top.map(({ id, logprob }) => [id, logprob])))
        }
        return rows
      }
      const [cpu, gpu] = [await read('cpu'), await read('gpu')]
      for (const [index, row] of cpu.entries()) {
        // The least likely of the twenty may be others.
        const both = [...row.keys()].filter((id) => gpu[index]?.has(id))
        expect(both.length).toBeGreaterThan(10)
        for (const id of both)
          expect(Math.abs((row.get(id) ?? NaN) - (gpu[index]?.get(id) ?? NaN))).toBeLessThan(
            LIMITS[dtypeOf(folder)],
          )
      }
    })
  },
)
