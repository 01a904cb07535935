// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Programs that need nothing but Node.js, each run with a small input.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findCargoTargets } from '../helpers/find-commands'
import { demoModel, makeModel, root, scratch } from '../helpers/models'
import { NODE, runProgram } from '../helpers/run-program'

const FUZZ_TARGETS = findCargoTargets()
  .filter((target) => target.startsWith('cargo --bin '))
  .map((target) => target.slice('cargo --bin '.length))
const ADDON_TARGETS = ['config', 'weights', 'tokenizer', 'template', 'options']

describe('tools/demo-model/evaluate.mjs', () => {
  const evaluate = join(root, 'tools/demo-model/evaluate.mjs')

  test('answers a sample of the held-out set well enough', async () => {
    const { stdout } = await runProgram(NODE, [evaluate, '--sample', '13', '--json', '--wrong'])
    const { cases, share, skills, enough } = JSON.parse(stdout) as Record<string, object>
    expect({ cases, share, enough }, stdout).toEqual({ cases: 13, share: 1, enough: true })
    expect(Object.values(skills ?? {})).toEqual(Array.from({ length: 13 }, () => 1))
  })

  test('fails where too few answers are right', async () => {
    const greeting = '{{ "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n" }}'
    const model = makeModel({ from: demoModel, files: { 'chat_template.jinja': greeting } })
    const args = [evaluate, '--model', model, '--sample', '3']
    const { stdout } = await runProgram(NODE, args, { status: 1 })
    expect(stdout).toMatch(/^all +0 of +3 +0\.0 %$/mu)
  })
})

describe('benchmarks', () => {
  const bench = (name: string): string => join(root, '__test__/bench', name)
  const measure = async (name: string, ...args: string[]): Promise<Record<string, number>> => {
    const { stdout } = await runProgram(NODE, [bench(name), demoModel, ...args])
    return JSON.parse(stdout) as Record<string, number>
  }

  test('npm run bench -- --quick options chat speculative masks tokenizer', async () => {
    const parts = ['options', 'chat', 'speculative', 'masks', 'tokenizer']
    const { stdout } = await runProgram(NODE, [bench('run.mjs'), '--quick', ...parts])
    for (const name of ['load demo, ms', 'demo, first mask, ms'])
      expect(stdout).toMatch(new RegExp(`^${name}( +[\\d.e-]+){3}$`, 'mu'))
    for (const name of ['topP', 'penalties', 'both', 'prompt-lookup', 'its own draft'])
      expect(stdout).toMatch(new RegExp(`^${name}, tokens/s( +[\\d.]+){3}$`, 'mu'))
    for (const name of ['chat', 'stateless'])
      expect(stdout).toMatch(
        new RegExp(`^${name}, first token after \\d+, s( +[\\d.e-]+){3}$`, 'mu'),
      )
  })

  test('speed.mjs, load-once.mjs and cold.mjs measure node-mlx', async () => {
    const { first = 0, prefill = 0, decode } = await measure('speed.mjs', '8', '2', '0')
    expect(prefill).toBeCloseTo(8 / first)
    expect(decode).toBeGreaterThan(0)
    const { seconds, held, peak } = await measure('load-once.mjs')
    expect(seconds).toBeGreaterThan(0)
    expect(peak).toBeGreaterThanOrEqual(held ?? Infinity)
    const question = 'What is the capital of France?'
    const { stdout } = await runProgram(NODE, [bench('cold.mjs'), demoModel, question])
    expect(stdout).toMatch(/^The/u)
  })

  test('wrong arguments are named', async () => {
    const { stderr } = await runProgram(NODE, [bench('run.mjs'), 'sped'], { status: 1 })
    expect(stderr).toBe(
      'node-mlx: sped: the parts are speed, cold, load, options, chat, speculative, llama-cpp, masks, tokenizer\n',
    )
    const { stdout } = await runProgram(NODE, [bench('run.mjs'), '--help'])
    expect(stdout).toMatch(/^Usage: npm run bench/u)
  })
})

test('npm run soak -- --quick', async () => {
  const soak = join(root, '__test__/soak/run.mjs')
  const { stdout } = await runProgram(NODE, [soak, '--quick'])
  for (const name of ['generations', 'cycles', 'aborts', 'runs', 'sleep', 'exits', 'workers'])
    expect(stdout).toMatch(new RegExp(`^${name} [\\d.]+$`, 'mu'))
  expect(stdout).toMatch(/runs that ended without ABORT_ERR +0 +at most 0$/mu)
  const { stderr } = await runProgram(NODE, [soak, '--exits', 'few'], { status: 1 })
  expect(stderr).toBe('node-mlx: --exits must be a number\n')
})

test('fuzz/seeds.mjs writes the committed seeds', async () => {
  const folder = join(scratch(), 'seeds')
  await runProgram(NODE, [join(root, 'fuzz/seeds.mjs'), folder])
  expect(readdirSync(folder).toSorted()).toEqual(FUZZ_TARGETS.toSorted())
  const committed = readSeeds(join(root, 'fuzz/seeds'))
  expect(readSeeds(folder)).toEqual(committed.filter(([name]) => !name.includes('/found-')))
})

test('npm run fuzz knows every target of fuzz/Cargo.toml', async () => {
  const fuzz = join(root, 'scripts/fuzz.mjs')
  const { stdout } = await runProgram(NODE, [fuzz, '--help'])
  const listed = [...stdout.matchAll(/^ {2}(\w+)$/gmu)].map(([, target]) => target)
  expect(listed).toEqual([...FUZZ_TARGETS, ...ADDON_TARGETS.map((kind) => `addon_${kind}`)])
  const { stderr } = await runProgram(NODE, [fuzz, '1', 'nothing'], { status: 1 })
  expect(stderr).toBe('node-mlx: nothing: see npm run fuzz -- --help\n')
})

test.each(ADDON_TARGETS)('fuzz/addon/run.mjs %s finds no fault', async (kind) => {
  const run = [join(root, 'fuzz/addon/run.mjs'), kind]
  const { stdout } = await runProgram(NODE, [...run, '30', '20000'])
  expect(stdout).toMatch(`${kind}: 30 cases from 20000 on, 0 faults`)
})

/** Name and contents of each seed. */
function readSeeds(folder: string): [name: string, content: string][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('/'))
    .toSorted()
    .map((name) => [name, readFileSync(join(folder, name), 'base64')])
}
