// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['__test__/**/*.spec.ts'],
    // A process for each file, as the addon has one engine a process.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    // The package itself is tested as built, not as Vite would transform it.
    server: { deps: { external: [/\/dist\//u] } },
  },
})
