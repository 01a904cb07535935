// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, vi } from 'vitest'

const addon = createRequire(import.meta.url)('../../index.js') as { engineSteps: () => number }

/** Expects that the device soon does something. */
export async function expectBusy(): Promise<void> {
  await vi.waitFor(async () => expect(await stepsNow()).toBeGreaterThan(0), { timeout: 5000 })
}

/** Expects that the device soon does nothing any more. */
export async function expectIdle(): Promise<void> {
  await vi.waitFor(async () => expect(await stepsNow()).toBe(0), { timeout: 5000 })
}

async function stepsNow(): Promise<number> {
  const before = addon.engineSteps()
  await sleep(50)
  return addon.engineSteps() - before
}
