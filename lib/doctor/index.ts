// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Checks an installation, for `npx node-mlx doctor`: this process loads nothing that may crash.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gpuProblem } from '../cuda/find'
import { describeMachine, withoutHome, type Machine } from './machine'
import type { Check, ChildMessage, Installation, Report } from './types'

export type { Check, Installation, Report } from './types'

/** How much of a crashed process's last words are kept. */
const MAX_WORDS = 500
const DEVICES = ['gpu', 'cpu'] as const

export interface Options {
  /** How long a check may take, in milliseconds. Default: longer than CUDA takes to compile kernels. */
  maxCheckMs?: number
  // Called with each part of the report when it is there.
  onMachine?: (machine: Machine, version: string) => void
  onInstallation?: (installation: Installation) => void
  onCheck?: (check: Check) => void
}

/** Checks the installation on this machine. */
export async function diagnose({
  maxCheckMs = 300_000,
  onMachine,
  onInstallation,
  onCheck,
}: Options = {}): Promise<Report> {
  const { version } = require('../../package.json') as { version: string }
  const machine = describeMachine()
  onMachine?.(machine, version)
  let installation: Installation | undefined
  const checks: Check[] = []
  const add = (check: Check): void => {
    checks.push(check)
    onCheck?.(check)
  }
  await runChild([], maxCheckMs, {
    onCheck: add,
    onInstallation(found) {
      installation = found
      onInstallation?.(found)
    },
  })
  for (const device of DEVICES) {
    const absence = whyNot(device, installation)
    if (absence === undefined)
      await withFolder((folder) => runChild([device, folder], maxCheckMs, { onCheck: add }))
    else add({ name: 'device', device, ...absence })
  }
  const passed = checks.every(({ status }) => status !== 'failed')
  return { passed, version, machine, ...(installation && { installation }), checks }
}

/** Why a device cannot be checked. */
function whyNot(
  device: string,
  installation: Installation | undefined,
): Pick<Check, 'status' | 'detail'> | undefined {
  if (installation === undefined) return { status: 'skipped', detail: 'the addon does not load' }
  const { devices, unused } = installation
  if (devices.includes(device)) return undefined
  // On a Mac MLX does not work without one.
  if (process.platform === 'darwin') {
    return device === 'gpu'
      ? { status: 'failed', detail: 'MLX finds no GPU, which every Mac that it runs on has' }
      : { status: 'skipped', detail: 'MLX takes its memory from the GPU' }
  }
  return { status: 'skipped', detail: unused?.reason ?? noGpu() }
}

function noGpu(): string {
  if (`${process.platform}-${process.arch}` !== 'linux-x64')
    return 'there is none for this platform'
  return gpuProblem() ?? 'node-mlx-linux-x64-cuda is not installed'
}

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'node-mlx-doctor-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Checks a device, or without one the installation, in a process of its own. */
async function runChild(
  args: readonly string[],
  maxCheckMs: number,
  { onCheck, onInstallation }: Pick<Options, 'onCheck' | 'onInstallation'>,
): Promise<void> {
  const [device] = args
  const child = fork(join(__dirname, 'child.js'), args, {
    // Else products of f32 are rounded on some GPUs.
    env: { ...process.env, MLX_ENABLE_TF32: '0' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-MAX_WORDS)
  })
  let running: string | undefined = device === undefined ? 'installation' : 'device'
  let isLate = false
  const limit = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, maxCheckMs)
  child.on('message', (message: ChildMessage) => {
    limit.refresh()
    if (message.type === 'installation') onInstallation?.(message.installation)
    running = message.type === 'start' ? message.name : message.type === 'end' ? undefined : running
    if (message.type === 'end') onCheck?.(message.check)
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(limit)
  if (code === 0 && running === undefined) return
  const end = isLate
    ? `no result within ${maxCheckMs / 1000} s`
    : `the process ended with ${signal ?? `code ${code}`}`
  const detail = [end, withoutHome(words.trim())].filter(Boolean).join(': ')
  const name = running ?? 'exit'
  onCheck?.({ name, ...(device !== undefined && { device }), status: 'failed', detail })
}
