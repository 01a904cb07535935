// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import { PATIENCE_MS } from './patience'

/** Less than a run takes that ends by itself, after 90,000 tokens. */
const STOP_MS = 10_000

const addon = createRequire(import.meta.url)('../../index.js') as { engineSteps: () => number }

/** Expects that the device soon does something. */
export async function expectBusy(): Promise<void> {
  const steps = async (): Promise<void> => expect(await stepsNow()).toBeGreaterThan(0)
  await vi.waitFor(steps, { timeout: PATIENCE_MS })
}

/** Expects that the device soon does nothing any more. */
export async function expectIdle(): Promise<void> {
  const noSteps = async (): Promise<void> => expect(await stepsNow()).toBe(0)
  await vi.waitFor(noSteps, { timeout: STOP_MS })
}

async function stepsNow(): Promise<number> {
  const before = addon.engineSteps()
  await sleep(50)
  return addon.engineSteps() - before
}
