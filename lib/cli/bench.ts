// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { describeMachine, summarize } from '../doctor/machine'
import type { Model } from '../model'
import type { Arguments } from './args'
import { useProxies } from './hub'
import { findMlxLm, measureMlxLm, type MlxLm, type Speed } from './mlx-lm'
import { progressBar } from './progress'

const PROMPTS = [512, 4096]
const ANSWER = 128
/** Those that count, after one that does not. */
const RUNS = 3
const COLUMNS = [28, 14]

/** What mlx-lm has measured, or why it has not. */
type Other = (MlxLm & { results: Speed[] }) | { reason: string }

/** Measures how fast a model reads prompts and answers, beside mlx-lm where Python has it. */
export async function bench(args: Arguments): Promise<void> {
  const [named, ...more] = args.operands
  const id = named ?? args.model
  if (id === undefined || more.length > 0)
    throw new Error('expected the name or the folder of one model')
  const { adapter, draft, system, prefill, options } = args
  if (
    [adapter, draft, system, prefill, ...Object.values(options)].some(
      (value) => value !== undefined,
    )
  )
    throw new Error('bench takes no options but --revision, --python and --json')
  const { loadModel, mlxVersion, version } = await import('../index.js')
  useProxies()
  const { revision } = args
  const model = await loadModel(id, { revision, onProgress: progressBar() })
  const { device, path } = model
  const prompts = PROMPTS.filter((prompt) => prompt + ANSWER <= model.contextLength)
  const results: Speed[] = []
  try {
    if (prompts.length === 0)
      throw new Error(`its context of ${model.contextLength} tokens is too short to measure`)
    for (const prompt of prompts) results.push(await measure(model, prompt))
  } finally {
    await model.dispose()
  }
  const other = await compare(args.python, device, path, prompts)
  const machine = describeMachine()
  if (args.output.json) {
    const versions = { version, mlxVersion }
    const sizes = { answerTokens: ANSWER, runs: RUNS }
    const report = { model: id, device, ...versions, machine, ...sizes, results, mlxLm: other }
    console.log(JSON.stringify(report, null, 2))
    return
  }
  console.log(`${id} on the ${device}, node-mlx ${version} with MLX ${mlxVersion}`)
  console.log(summarize(machine))
  console.log(
    `answers of ${ANSWER} tokens, averages of ${RUNS} runs after one that does not count\n`,
  )
  printTable(results, other)
}

/** As mlx_lm.benchmark does: random tokens, a run that does not count, averages of the others. */
async function measure(model: Model, promptTokens: number): Promise<Speed> {
  const speeds: Speed[] = []
  for (let run = 0; run <= RUNS; run += 1) {
    const prompt = Array.from({ length: promptTokens }, () =>
      Math.floor(Math.random() * model.vocabSize),
    )
    const { timings, peakMemory } = await model.generate(prompt, {
      maxTokens: ANSWER,
      temperature: 0,
      ignoreEos: true,
      cache: 'none',
    })
    const { promptTokensPerSecond, generationTokensPerSecond } = timings
    speeds.push({ promptTokens, promptTokensPerSecond, generationTokensPerSecond, peakMemory })
  }
  const average = (name: keyof Speed): number => {
    return speeds.slice(1).reduce((sum, speed) => sum + speed[name], 0) / RUNS
  }
  return {
    promptTokens,
    promptTokensPerSecond: average('promptTokensPerSecond'),
    generationTokensPerSecond: average('generationTokensPerSecond'),
    peakMemory: average('peakMemory'),
  }
}

async function compare(
  python: string | undefined,
  device: string,
  folder: string,
  prompts: readonly number[],
): Promise<Other> {
  if (python === undefined && device === 'cpu')
    return { reason: 'mlx-lm takes seconds for a token on a CPU; --python PATH runs it' }
  const mlxLm = await findMlxLm(python ?? 'python3')
  if (mlxLm === undefined) return { reason: `${python ?? 'python3'} has no mlx-lm to compare with` }
  try {
    const results: Speed[] = []
    for (const prompt of prompts)
      results.push(await measureMlxLm(mlxLm, folder, { prompt, answer: ANSWER, runs: RUNS }))
    return { ...mlxLm, results }
  } catch (error) {
    return { reason: (error as Error).message }
  }
}

function printTable(results: readonly Speed[], other: Other): void {
  const isThere = 'results' in other
  printRow('', 'node-mlx', ...(isThere ? [`mlx-lm ${other.version}`, 'ratio'] : []))
  results.forEach((ours, index) => {
    const theirs = isThere ? other.results[index] : undefined
    const row = (name: string, value: keyof Speed, unit = 1): void => {
      const [one, two] = [ours, theirs].map((speed) => speed && speed[value] / unit)
      const numbers = [one, two].flatMap((each) => (each === undefined ? [] : [each.toFixed(2)]))
      const ratio = one !== undefined && two !== undefined ? [(one / two).toFixed(2)] : []
      printRow(name, ...numbers, ...ratio)
    }
    row(`prompt of ${ours.promptTokens}, tokens/s`, 'promptTokensPerSecond')
    row('answer after it, tokens/s', 'generationTokensPerSecond')
    row('peak memory, GB', 'peakMemory', 1e9)
  })
  console.log(`\n${isThere ? `mlx-lm with MLX ${other.mlxVersion}` : other.reason}`)
}

function printRow(name: string, ...cells: string[]): void {
  const [first = 0, rest = 0] = COLUMNS
  console.log(name.padEnd(first) + cells.map((cell) => cell.padStart(rest)).join(''))
}
