// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Fault tests run here: in a process of their own, which must survive the fault, generate the same good answer
// after it as before, and leave.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type * as NodeMlx from 'node-mlx'
import type * as Addon from '../../index.js'
import { llama } from './models'

/** A process may take this long to exit; on an idle machine it takes milliseconds. */
export const MAX_EXIT_MS = 2000
const MAX_GROWTH = 200 * 2 ** 20

/** How a promise ended, in a shape that travels between processes. */
export interface Outcome {
  code?: string
  name?: string
  message?: string
  details?: Record<string, unknown>
  value?: unknown
}

/** What a scenario is given. It may refer to nothing else: its source text is sent to the child. */
export interface Tools {
  mlx: typeof NodeMlx
  addon: typeof Addon
  /** The good model that the process generates with before and after the scenario. */
  model: NodeMlx.Model
  /** Loads a model that is disposed of after the scenario. */
  load(folder: string): Promise<NodeMlx.Model>
  /** Measures from now on how late the event loop is; the function given back ends that and tells, in milliseconds. */
  eventLoopLag(): () => { p99: number; max: number }
  /** Starts runs, and gives along with them a function that tells how many steps each has made so far. */
  observe<T>(start: () => T): { runs: T; steps: () => number[] }
  /** How a promise, or a function that makes one, ended. Values that are models are disposed of. */
  outcome(of: PromiseLike<unknown> | (() => unknown)): Promise<Outcome>
  sleep(ms: number): Promise<void>
  /** Forward passes that the engine makes from now on until it stands still. */
  stepsUntilIdle(): Promise<number>
}

interface ChildOptions {
  /** Where the good model runs. Default: the CPU. */
  device?: 'cpu' | 'gpu'
  /** The scenario goes first: the good model is loaded after it only, so that there is no `model`. Default false. */
  isFirst?: boolean
}

/**
 * Runs a scenario in a child process and gives its answer, once the process has proven to be unharmed: it exits
 * with 0, in time, having printed nothing.
 */
export async function inChild<T, D>(
  scenario: (tools: Tools, data: D) => T | Promise<T>,
  data?: D,
  { device = 'cpu', isFirst = false }: ChildOptions = {},
): Promise<T> {
  const settings = { good: llama, device, isFirst }
  const input = JSON.stringify({ scenario: scenario.toString(), data, ...settings })
  const child = spawn(
    process.execPath,
    ['--expose-gc', join(import.meta.dirname, 'child-main.mjs')],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  // One that hangs must not outlive its test.
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  let errors = ''
  let answeredAt = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.endsWith('\n')) answeredAt = performance.now()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  child.stdin.end(input)
  const exit = await new Promise<{ code: number | null; signal: string | null }>(
    (resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal }))
    },
  )
  const exitMs = performance.now() - answeredAt

  expect(errors).toBe('')
  expect(exit).toEqual({ code: 0, signal: null })
  const report = JSON.parse(output) as {
    answer: T
    growth: number
    before?: number[]
    after: number[]
  }
  expect(report.after).toHaveLength(8)
  expect(report.after).toEqual(report.before ?? report.after)
  expect(report.growth).toBeLessThan(MAX_GROWTH)
  expect(exitMs).toBeLessThan(MAX_EXIT_MS)
  return report.answer
}

/** Loads each of these folders in one child process, and tells how that ended. */
export async function loadInChild<K extends string>(
  folders: Record<K, string>,
): Promise<Record<K, Outcome>> {
  return inChild(async ({ mlx, outcome }, paths) => {
    const outcomes: Record<string, Outcome> = {}
    for (const [name, path] of Object.entries<string>(paths)) {
      outcomes[name] = await outcome(mlx.loadModel(path))
    }
    return outcomes as Record<K, Outcome>
  }, folders)
}

/** Expects this code of every outcome. */
export function expectCodes(outcomes: Record<string, Outcome>, code: string): void {
  const codes = Object.entries(outcomes).map(([name, outcome]) => [
    name,
    outcome.code ?? 'no error',
  ])
  expect(Object.fromEntries(codes)).toEqual(
    Object.fromEntries(Object.keys(outcomes).map((name) => [name, code])),
  )
}
