// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'
import { app, BrowserWindow, dialog } from 'electron'
import { startHost, type LoadProgress } from 'node-mlx/electron'

const MODEL = process.env['MODEL'] ?? 'mlx-community/Qwen3-0.6B-4bit'

async function open(): Promise<void> {
  const preload = join(__dirname, '../preload/index.js')
  const window = new BrowserWindow({ width: 720, height: 560, webPreferences: { preload } })
  // A process of its own runs the model, so that neither this one nor the page has to.
  const host = await startHost()
  const onProgress = ({ loaded, total }: LoadProgress): void => {
    if (!window.isDestroyed()) window.setProgressBar(loaded < total ? loaded / total : -1)
  }
  host.connect(window.webContents, host.loadModel(MODEL, { onProgress }))
  const server = process.env['ELECTRON_RENDERER_URL']
  if (server === undefined) await window.loadFile(join(__dirname, '../renderer/index.html'))
  else await window.loadURL(server)
}

app.on('window-all-closed', () => app.quit())
app.on('ready', async () => {
  try {
    await open()
  } catch (error) {
    dialog.showErrorBox('node-mlx', String(error))
    app.exit(1)
  }
})
