// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs mlx-lm's own benchmark, where Python has it.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Not with modules of the folder that it is called in: that may be the model's. */
const runPython = (python: string, script: string, ...args: readonly string[]) =>
  promisify(execFile)(python, ['-c', script, ...args], {
    env: { ...process.env, PYTHONSAFEPATH: '1' },
  })

const VERSIONS =
  "from importlib.metadata import version as v; print(v('mlx-lm'), v('mlx'), sep='\\n')"

/** mlx_lm.benchmark, which would run the code that a tokenizer_config.json names, but without that. */
const BENCHMARK = `
import mlx_lm.benchmark as benchmark
load = benchmark.load
def load_data(*args, **options):
    return load(*args, **{**options, 'tokenizer_config': {'trust_remote_code': False}})
benchmark.load = load_data
benchmark.main()
`

/** What one run, or the average of several, has measured. */
export interface Speed {
  promptTokens: number
  promptTokensPerSecond: number
  generationTokensPerSecond: number
  /** The most that MLX has held since the process began, in bytes. */
  peakMemory: number
}

export interface MlxLm {
  python: string
  version: string
  mlxVersion: string
}

/** Returns what this Python has of mlx-lm; `undefined` if nothing. */
export async function findMlxLm(python: string): Promise<MlxLm | undefined> {
  try {
    const { stdout } = await runPython(python, VERSIONS)
    const [version, mlxVersion] = stdout.trim().split(/\s+/u)
    return version && mlxVersion ? { python, version, mlxVersion } : undefined
  } catch {
    return undefined
  }
}

/** Measures the model in a folder with `mlx_lm.benchmark`. */
export async function measureMlxLm(
  { python }: MlxLm,
  folder: string,
  { prompt, answer, runs }: { prompt: number; answer: number; runs: number },
): Promise<Speed> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object
  // Earlier versions run it.
  if ('model_file' in config) throw new Error('mlx-lm needs code that comes with the model')
  const options = { '--model': folder, '-p': prompt, '-g': answer, '-n': runs }
  const args = Object.entries(options).flatMap(([name, value]) => [name, String(value)])
  const { stdout } = await runPython(python, BENCHMARK, ...args).catch(
    ({ message, stderr }: Error & { stderr?: string }) => {
      const [last = message] = stderr?.trim().split('\n').slice(-1) ?? []
      throw new Error(`mlx_lm.benchmark failed: ${last}`)
    },
  )
  const averages = /^Averages: (.*)$/mu.exec(stdout)?.[1] ?? ''
  const average = (name: string): number => {
    const found = new RegExp(`\\b${name}=([\\d.]+)`, 'u').exec(averages)?.[1]
    if (found === undefined) throw new Error(`mlx_lm.benchmark printed no ${name}`)
    return Number(found)
  }
  return {
    promptTokens: prompt,
    promptTokensPerSecond: average('prompt_tps'),
    // It divides all tokens by the time of those after the first.
    generationTokensPerSecond: (average('generation_tps') * (answer - 1)) / answer,
    peakMemory: average('peak_memory') * 1e9,
  }
}
