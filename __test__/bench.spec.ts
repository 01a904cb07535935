// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `node-mlx bench`, beside a program that stands for a Python with mlx-lm. programs/python.spec.ts has the real one.

import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mlxVersion, version } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { llama, makeLongModel, makeModel, scratch } from './helpers/models'
import { NODE, runProgram } from './helpers/run-program'

const CLI = 'dist/cli/bin.js'
const model = makeLongModel()
const short = makeModel({ config: { max_position_embeddings: 1000 } })

/** A Python whose mlx-lm prints what mlx_lm.benchmark does, or ends with an error. */
function makePython(fails = false): { path: string; calls: () => string[][] } {
  const folder = mkdtempSync(join(scratch(), 'python-'))
  const path = join(folder, 'python')
  const log = join(folder, 'calls.jsonl')
  const averages = 'prompt_tps=1000.000, generation_tps=128.000, peak_memory=0.500'
  const program = `#!${NODE}
    const args = process.argv.slice(2)
    require('node:fs').appendFileSync(${JSON.stringify(log)}, JSON.stringify(args) + '\\n')
    if (args[1].includes('metadata')) console.log('0.32.2\\n0.32.1')
    else if (${fails}) { console.error('Traceback\\nValueError: Model type x'); process.exitCode = 1 }
    else console.log('Running warmup..\\nTrial 1:  prompt_tps=9.000\\nAverages: ${averages}')
  `
  writeFileSync(path, program)
  chmodSync(path, 0o755)
  const calls = () => readFileSync(log, 'utf8').trim().split('\n')
  return { path, calls: () => calls().map((line) => JSON.parse(line) as string[]) }
}

async function bench(...args: string[]): Promise<string> {
  const { stdout, stderr } = await runProgram(NODE, [CLI, 'bench', ...args])
  expect(stderr).toBe('')
  return stdout
}

describe.skipIf(process.platform === 'win32')('beside mlx-lm', () => {
  test('both models are measured at both depths, with the same numbers of tokens', async () => {
    const { path, calls } = makePython()
    const report = JSON.parse(await bench(model, '--json', '--python', path)) as object
    expect(report).toMatchObject({ model, version, mlxVersion, answerTokens: 128, runs: 3 })
    const speeds = [512, 4096].map((promptTokens) => ({
      promptTokens,
      promptTokensPerSecond: expect.any(Number) as number,
      generationTokensPerSecond: expect.any(Number) as number,
      peakMemory: expect.any(Number) as number,
    }))
    expect(report).toMatchObject({ results: speeds, machine: { cores: expect.any(Number) } })
    expect(report).toHaveProperty('mlxLm', {
      python: path,
      version: '0.32.2',
      mlxVersion: '0.32.1',
      // 128 tokens in the time of 127.
      results: [512, 4096].map((promptTokens) => ({
        promptTokens,
        promptTokensPerSecond: 1000,
        generationTokensPerSecond: 127,
        peakMemory: 5e8,
      })),
    })
    const script = expect.stringContaining('benchmark.main()') as string
    const run = ['-c', script, '--model', model]
    expect(calls().slice(1)).toEqual([
      [...run, '-p', '512', '-g', '128', '-n', '3'],
      [...run, '-p', '4096', '-g', '128', '-n', '3'],
    ])
  })

  test('prints a table with ratios, and only what fits into the context', async () => {
    const args = ['--model', short, '--python', makePython().path]
    const text = await bench(...args)
    expect(text).toMatch(
      new RegExp(`^${args[1]} on the [cg]pu, node-mlx ${version} with MLX `, 'u'),
    )
    expect(text).toMatch(/^ +node-mlx +mlx-lm 0\.32\.2 +ratio$/mu)
    const [, ours, ratio] =
      /^prompt of 512, tokens\/s +([\d.]+) +1000\.00 +([\d.]+)$/mu.exec(text) ?? []
    expect(Number(ratio)).toBeCloseTo(Number(ours) / 1000, 1)
    expect(text).toMatch(/^answer after it, tokens\/s +[\d.]+ +127\.00 +[\d.]+$/mu)
    expect(text).toMatch(/^peak memory, GB +0\.\d+ +0\.50 +0\.\d+$/mu)
    expect(text).not.toContain('4096')
    expect(text).toMatch(/\nmlx-lm with MLX 0\.32\.1\n$/u)
  })

  test('mlx-lm is not asked to run code of the model', async () => {
    const folder = makeModel({ config: { max_position_embeddings: 1000, model_file: 'model.py' } })
    const { path, calls } = makePython()
    const text = await bench(folder, '--python', path)
    expect(text).toMatch(/\nmlx-lm needs code that comes with the model\n$/u)
    expect(calls()).toHaveLength(1)
  })

  test('says what mlx-lm failed with', async () => {
    const text = await bench(short, '--python', makePython(true).path)
    expect(text).toMatch(/^prompt of 512, tokens\/s +[\d.]+$/mu)
    expect(text).toMatch(/\nmlx_lm\.benchmark failed: ValueError: Model type x\n$/u)
  })
})

test.each([
  [[], 'expected the name or the folder of one model'],
  [[model, model], 'expected the name or the folder of one model'],
  [[llama, '--kv-bits', '8'], 'bench takes no options but --revision, --python and --json'],
  [[llama], 'its context of 512 tokens is too short to measure'],
])('names what is wrong with %j', async (args, what) => {
  const { stderr } = await runProgram(NODE, [CLI, 'bench', ...args], { status: 1 })
  expect(stderr).toBe(`node-mlx: ${what}\n`)
})

test('says where there is no mlx-lm', async () => {
  const text = await bench(short, '--python', NODE)
  expect(text).toContain(`\n\n${NODE} has no mlx-lm to compare with\n`)
})
