// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { vi } from 'vitest'

/** How long to wait for what must happen: on a busy machine it takes seconds, and only what never happens takes this. */
export const PATIENCE_MS = 60_000

/** Waits until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  await vi.waitUntil(isSo, { interval: 1, timeout: PATIENCE_MS })
}
