// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

const { app, BrowserWindow, dialog } = require('electron')
const { preload, startHost } = require('node-mlx/electron')
const { join } = require('node:path')

const MODEL = process.env.MODEL ?? 'mlx-community/Qwen3-0.6B-4bit'

async function open() {
  const window = new BrowserWindow({ width: 720, height: 560, webPreferences: { preload } })
  // A process of its own runs the model, so that neither this one nor the page has to.
  const host = await startHost()
  const onProgress = ({ loaded, total }) => {
    if (!window.isDestroyed()) window.setProgressBar(loaded < total ? loaded / total : -1)
  }
  host.connect(window.webContents, host.loadModel(MODEL, { onProgress }))
  await window.loadFile(join(__dirname, 'index.html'))
}

app.on('window-all-closed', () => app.quit())
app.on('ready', async () => {
  try {
    await open()
  } catch (error) {
    dialog.showErrorBox('node-mlx', error.message)
    app.exit(1)
  }
})
