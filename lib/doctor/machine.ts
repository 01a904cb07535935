// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What a report says of the machine that it is from.

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, freemem, homedir, release, totalmem, version } from 'node:os'
import { gpuModels } from '../cuda/find'

/** Variables that change what MLX or node-mlx does. */
const VARIABLES = /^(?:MLX_|NODE_MLX_|CUDA_VISIBLE_DEVICES$|(?:LD|DYLD)_)/u
const SECRET = 'NODE_MLX_API_KEY'

export interface Machine {
  /** Such as 'Ubuntu 24.04 LTS, Linux 6.8.0, x64, glibc 2.39'. */
  system: string
  chip: string
  cores: number
  /** NVIDIA's; Apple's are part of the chip. */
  gpus: string[]
  /** In bytes. */
  memory: { total: number; available: number }
  runtime: string
  /** Environment variables that matter. */
  environment: Record<string, string>
}

export function describeMachine(): Machine {
  const { bun, deno } = process.versions as { bun?: string; deno?: string }
  const node = `Node.js ${process.versions.node}`
  return {
    system: systemName(),
    chip: cpus()[0]?.model.trim() || 'unknown',
    cores: availableParallelism(),
    gpus: gpuModels(),
    memory: { total: totalmem(), available: process.availableMemory?.() ?? freemem() },
    runtime: bun ? `Bun ${bun} (${node})` : deno ? `Deno ${deno} (${node})` : node,
    environment: Object.fromEntries(
      Object.entries(process.env).flatMap(([name, value = '']) => {
        return VARIABLES.test(name) && name !== SECRET ? [[name, withoutHome(value)]] : []
      }),
    ),
  }
}

/** The machine in a line. */
export function summarize({ system, chip, cores, gpus, memory, runtime }: Machine): string {
  const gigabytes = `${(memory.total / 1e9).toFixed(1)} GB`
  return [...gpus, chip, `${cores} cores`, gigabytes, system, runtime].join(', ')
}

/** The libraries that this process has loaded; none where the runtime does not tell. */
export function loadedLibraries(): string[] {
  return processReport().sharedObjects ?? []
}

/** A text with paths, without the user's name. */
export function withoutHome(text: string): string {
  const home = homedir()
  return home.length > 1 ? text.replaceAll(home, '~') : text
}

function systemName(): string {
  const { platform, arch } = process
  const kernel = `${platform === 'darwin' ? 'Darwin' : platform === 'linux' ? 'Linux' : platform} ${release()}`
  const glibc = processReport().header?.glibcVersionRuntime
  const names = [distribution(), kernel, arch, ...(glibc === undefined ? [] : [`glibc ${glibc}`])]
  return names.join(', ')
}

function distribution(): string {
  if (process.platform === 'darwin') {
    const list = read('/System/Library/CoreServices/SystemVersion.plist')
    const found = /<key>ProductVersion<\/key>\s*<string>([^<]*)/u.exec(list)?.[1]
    return `macOS ${found ?? ''}`.trim()
  }
  return /^PRETTY_NAME="?([^"\n]*)/mu.exec(read('/etc/os-release'))?.[1] ?? version()
}

function processReport(): { header?: { glibcVersionRuntime?: string }; sharedObjects?: string[] } {
  const { report } = process as { report?: { excludeNetwork?: boolean; getReport: () => object } }
  if (report === undefined) return {}
  // Node would look the names of open connections up.
  report.excludeNetwork = true
  return report.getReport()
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
