// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { defineConfig } from 'vitest/config'

const TIMING = '__test__/timing/**/*.spec.ts'
// Too long for `npm test`; `.ci/run` runs them.
const PROGRAMS = ['__test__/programs/node.spec.ts', '__test__/programs/python.spec.ts']

export default defineConfig({
  test: {
    // A process for each file, as the addon has one engine a process.
    pool: 'forks',
    // For what hangs: a busy machine takes ten times as long as an idle one, and a busy disk seconds.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // Less than a run of the tests takes that nobody stops.
    expect: { poll: { timeout: 10_000 } },
    reporters: ['default', './__test__/helpers/rows-reporter.ts'],
    // The package itself is tested as built, not as Vite would transform it.
    server: { deps: { external: [/\/dist\//u] } },
    projects: [
      {
        extends: true,
        test: {
          name: 'behaviour',
          include: ['__test__/**/*.spec.ts'],
          exclude: [TIMING, ...PROGRAMS],
          // Some wait more than they compute.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'programs',
          include: PROGRAMS,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: { name: 'timing', include: [TIMING], maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
