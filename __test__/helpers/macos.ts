// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// For the tests in macos/.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { root } from './models'
import { NODE } from './run-program'

/** A program that loads a model, and then does something with `model` and `mlx`. */
export async function inProcess(
  folder: string,
  program: string,
  { env = {}, wrapper = [] as string[], path = root } = {},
): Promise<{ stdout: string; stderr: string; code: number | null; signal: string | null }> {
  const source = `
    const mlx = require(${JSON.stringify(join(path, 'dist/index.js'))})
    const main = async () => {
      const model = await mlx.loadModel(${JSON.stringify(folder)})
      ${program}
      await model.dispose()
    }
    main().catch(({ code, message }) => console.log(JSON.stringify({ code, message })))
  `
  const [command = NODE, ...args] = [...wrapper, NODE, '-e', source]
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const closed = once(child, 'close') as Promise<[number | null, string | null]>
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code, signal] = await closed
  return { stdout, stderr, code, signal }
}

/** Tokens per second of a prompt. */
export async function prefillSpeed(folder: string, env: Record<string, string>): Promise<number> {
  const program = `
    const prompt = Array.from({ length: 4096 }, (_, index) => index % 256)
    let speed = 0
    for (let run = 0; run < 3; run += 1) {
      const { timings } = await model.generate(prompt, { maxTokens: 1, cache: 'none' })
      speed = Math.max(speed, timings.promptTokensPerSecond)
    }
    console.log(speed)
  `
  return Number((await inProcess(folder, program, { env })).stdout)
}

/** Bytes of memory that the system cannot page out. */
export function wiredMemory(): number {
  const statistics = execFileSync('vm_stat', { encoding: 'utf8' })
  const [, size] = /page size of (\d+) bytes/u.exec(statistics) ?? []
  const [, pages] = /^Pages wired down:\s+(\d+)/mu.exec(statistics) ?? []
  return Number(size) * Number(pages)
}

/** Whether the page cache could be emptied, which needs sudo without a password. */
export function purge(): boolean {
  try {
    execFileSync('sudo', ['-n', 'purge'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
