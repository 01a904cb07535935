// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { defineConfig } from 'electron-vite'

export default defineConfig({
  // node-mlx stays outside the bundle of the main process, as it has an addon.
  main: {},
  // A preload script in the sandbox is one file: all that it imports goes into the bundle.
  preload: { build: { externalizeDeps: false } },
  renderer: {},
})
