// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Starts the server that the arguments name, asks its route /chat a question, and prints the answer as it comes.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const port = await freePort()
const server = spawn(process.execPath, process.argv.slice(2), {
  env: { ...process.env, PORT: port, HOSTNAME: '127.0.0.1' },
  stdio: ['ignore', 2, 2],
})
try {
  const { body } = await ask()
  for await (const text of body.pipeThrough(new TextDecoderStream())) process.stdout.write(text)
} finally {
  server.kill()
}

/** Asks until the server listens. */
async function ask() {
  for (;;) {
    try {
      const body = 'What is the capital of France?'
      return await fetch(`http://127.0.0.1:${port}/chat`, { method: 'POST', body })
    } catch (error) {
      if (server.exitCode !== null) throw error
      await sleep(100)
    }
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port: free } = probe.address()
  probe.close()
  await once(probe, 'close')
  return String(free)
}
