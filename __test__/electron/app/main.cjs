// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs the case that CASE names, in the main process of Electron; exit code 0 means that it passed.

const { app } = require('electron')
const cases = require('./cases.cjs')

const run = cases[process.env.CASE]

app
  .whenReady()
  .then(run)
  .then(
    // `undefined`: the case quits the app itself.
    (passed) => passed !== undefined && app.exit(0),
    (error) => {
      console.error(error)
      app.exit(1)
    },
  )
