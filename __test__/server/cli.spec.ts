// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { demoModel, llama, root } from '../helpers/models'
import { NODE, runProgram } from '../helpers/run-program'

const CLI = join(root, 'dist/cli/bin.js')

test('serves models until it is interrupted', async () => {
  const { server, url } = await start([llama, demoModel, '--port', '0'])
  const { data } = (await (await fetch(`${url}/models`)).json()) as { data: { id: string }[] }
  expect(data.map(({ id }) => id)).toEqual([llama, demoModel])
  const response = await fetch(`${url}/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: llama, prompt: 'Hi', max_tokens: 2 }),
  })
  expect(await response.json()).toMatchObject({ usage: { completion_tokens: 2 } })
  server.kill('SIGINT')
  expect(await once(server, 'close')).toEqual([0, null])
})

test('takes its key from the environment, without which it does not listen elsewhere', async () => {
  const args = ['--host', '0.0.0.0', '--port', '0', '--model', llama]
  const { stderr } = await runProgram(NODE, [CLI, 'serve', ...args], { status: 1 })
  expect(stderr).toContain('host: an apiKey is needed to listen at 0.0.0.0')
  const { url } = await start(args, { NODE_MLX_API_KEY: 'secret' })
  const headers = { authorization: 'Bearer secret' }
  const local = `${url.replace('0.0.0.0', '127.0.0.1')}/models`
  expect([(await fetch(local)).status, (await fetch(local, { headers })).status]).toEqual([
    401, 200,
  ])
})

test('needs a model, and one that exists', async () => {
  const failing = async (...args: string[]) =>
    (await runProgram(NODE, [CLI, 'serve', ...args], { status: 1 })).stderr
  expect(await failing()).toContain('expected the name or the folder of a model')
  expect(await failing('llama', '--port', '0')).toContain("'llama' is not a model of the Hub")
})

async function start(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ server: ChildProcess; url: string }> {
  const server = spawn(NODE, [CLI, 'serve', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void server.kill())
  const stderr = text(server.stderr)
  const [line] = await Promise.race([
    once(server.stdout, 'data'),
    once(server, 'close').then(async () => [await stderr]),
  ])
  const [url] = /http:\S+$/mu.exec(String(line)) ?? []
  expect(url, String(line)).toBeDefined()
  return { server, url: url ?? '' }
}
