// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A preload script that gives the page what `connectModel` needs. A sandbox loads no other file, so it is complete in
// itself: of the imports below, none is left after compilation.

import type { BRIDGE, CONNECT, PageBridge, PORT, PreloadElectron } from './electron'

const bridge: typeof BRIDGE = 'nodeMlx'
const connect: typeof CONNECT = 'node-mlx:connect'
const portChannel: typeof PORT = 'node-mlx:port'

const { contextBridge, ipcRenderer } = require('electron') as PreloadElectron
const page = globalThis as unknown as {
  postMessage(message: unknown, targetOrigin: string, transfer: readonly unknown[]): void
}

// A port cannot cross the context bridge, but a message to the page itself can carry it.
ipcRenderer.on(portChannel, ({ ports }) => page.postMessage(portChannel, '*', ports))
contextBridge.exposeInMainWorld(bridge, {
  connect: (id) => ipcRenderer.invoke(connect, id),
} as PageBridge)
