// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Loads the addon or checks a device, in a process of its own: a crash ends that one only.

import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Device, Outcome } from './checks'
import { loadedLibraries, withoutHome } from './machine'
import type { ChildMessage, Installation } from './types'

/** What comes with macOS. */
const OF_SYSTEM = /^\/(?:System|usr\/lib)\//u

/** Checks a device, with temporary files in a folder, or without them the installation. */
export async function run(device?: Device, folder?: string): Promise<void> {
  if (device === undefined || folder === undefined) await report('installation', checkInstallation)
  else await checkDevice(device, folder)
  process.disconnect()
}

/** Loads the package, and says which files that took. */
async function checkInstallation(): Promise<{ detail: string }> {
  const before = new Set(loadedLibraries())
  const { binary, devices, mlxVersion, version } = await import('../index.js')
  const loaded = loadedLibraries().filter((path) => {
    return (!before.has(path) && !OF_SYSTEM.test(path)) || isLibmlx(path)
  })
  const files = loaded.filter((path) => existsSync(path)).map((path) => realpathSync(path))
  const installation: Installation = {
    ...binary(),
    mlxVersion,
    devices: devices(),
    files: files.map(withoutHome),
  }
  send({ type: 'installation', installation })
  const { version: expected } = require('../../package.json') as { version: string }
  if (version !== expected)
    throw new Error(`the addon is of version ${version}, the package of ${expected}: install again`)
  checkFiles(files)
  return { detail: 'the addon loads, with its own libraries' }
}

/** Throws if libmlx is another one than the addon's, or cannot find the kernels for a Mac. */
function checkFiles(files: readonly string[]): void {
  const addon = files.find((path) => path.endsWith('.node') && basename(path) !== 'probe.node')
  const libmlx = files.find(isLibmlx)
  if (addon === undefined || libmlx === undefined) return
  const folder = dirname(addon)
  if (dirname(libmlx) !== folder)
    throw new Error(`${withoutHome(libmlx)} was loaded instead of the one beside the addon`)
  if (process.platform === 'darwin' && !existsSync(join(folder, 'mlx.metallib')))
    throw new Error(`${withoutHome(folder)} has no mlx.metallib, without which no GPU is used`)
}

function isLibmlx(path: string): boolean {
  return /^(?:lib)?mlx\.(?:so|dylib|dll)$/u.test(basename(path))
}

async function checkDevice(device: Device, folder: string): Promise<void> {
  const { checksOf } = await import('./checks.js')
  for (const [name, check] of checksOf(device, folder)) await report(name, check, device)
}

async function report(
  name: string,
  check: () => Promise<Partial<Outcome> & { detail: string }>,
  device?: Device,
): Promise<void> {
  const about = { name, ...(device !== undefined && { device }) }
  send({ type: 'start', name })
  try {
    send({ type: 'end', check: { ...about, status: 'passed', ...(await check()) } })
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string }
    const text = [code, message ?? String(error)].filter(Boolean).join(': ')
    send({ type: 'end', check: { ...about, status: 'failed', detail: withoutHome(text) } })
  }
}

function send(message: ChildMessage): void {
  process.send?.(message)
}
