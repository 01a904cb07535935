// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What runs in the utilityProcess.

import { fromNative } from '../errors'
import { listen, type AnyPort } from './port'
import { isRecord } from '../options'

interface UtilityProcess extends NodeJS.Process {
  parentPort: { once(event: 'message', listener: (event: { ports: AnyPort[] }) => void): void }
}

;(process as UtilityProcess).parentPort.once('message', ({ ports: [port] }) => {
  if (port === undefined) return
  try {
    // Not imported above: the client is told why the addon does not load.
    const { serve } = require('./server') as typeof import('./server')
    serve(port)
  } catch (error) {
    refuse(port, error)
  }
})

function refuse(port: AnyPort, error: unknown): void {
  const json = fromNative(error).toJSON()
  const onMessage = (message: unknown): void => {
    if (isRecord(message) && 'call' in message)
      port.postMessage({ call: message['call'], error: json })
  }
  listen(port, onMessage, () => {})
}
