// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Errors that leave their process or thread, and come back as errors of the same class.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { loadModel, NodeMlxError } from 'node-mlx'
import { expect, test } from 'vitest'
import { root, scratch } from './helpers/models'

const details = { name: 'topK' }
const error = new NodeMlxError('ERR_OUT_OF_RANGE', 'topK: expected\na number', { details })
const { code, message } = error

/** What Electron's `ipcRenderer.invoke` rejects with where the handler of the main process threw this. */
const invoked = (thrown: Error) =>
  new Error(`Error invoking remote method 'ask: it': ${thrown.toString()}`)

test.each([
  ['itself', error],
  ['plain data, cloned', structuredClone(error.toJSON())],
  ['JSON', JSON.parse(JSON.stringify(error))],
])('%s has all of an error', (_, copy) => {
  const read = NodeMlxError.from(copy)
  expect(read).toBeInstanceOf(NodeMlxError)
  expect(read).toMatchObject({ name: 'NodeMlxError', code, message, details })
})

test.each([
  ['a structured clone', structuredClone(error)],
  ['a clone by v8', deserialize(serialize(error))],
  ['the error of an invoked handler', invoked(error)],
])('%s has the code and the message', (_, copy) => {
  expect(copy).not.toHaveProperty('code')
  const read = NodeMlxError.from(copy)
  expect(read).toBeInstanceOf(NodeMlxError)
  expect(read).toMatchObject({ code, message, details: undefined })
})

const SOURCE = `
  const { loadModel } = require(${JSON.stringify(root)})
  const { parentPort } = require('node:worker_threads')
  const send = parentPort ? (error) => parentPort.postMessage(error) : (error) => process.send(error)
  loadModel('/no/such/folder').catch(send)`

test.each(['json', 'advanced'] as const)('of a child process: %s', async (serialization) => {
  const path = join(scratch(), `${serialization}.cjs`)
  writeFileSync(path, SOURCE)
  const child = fork(path, { serialization })
  const [received] = (await once(child, 'message')) as unknown[]
  expect(NodeMlxError.from(received)).toMatchObject({
    code: 'ERR_MODEL_NOT_FOUND',
    message: "no model folder at '/no/such/folder'",
    details: serialization === 'json' ? { path: '/no/such/folder' } : undefined,
  })
})

test('of a worker, sent or thrown', async () => {
  const sending = new Worker(SOURCE, { eval: true })
  const [received] = (await once(sending, 'message')) as unknown[]
  expect(NodeMlxError.from(received)).toMatchObject({ code: 'ERR_MODEL_NOT_FOUND' })
  const throwing = new Worker(SOURCE.replace('.catch(send)', ''), { eval: true })
  const thrown: unknown = await once(throwing, 'error').then(([reason]: unknown[]) => reason)
  expect(NodeMlxError.from(thrown)).toMatchObject({
    code: 'ERR_MODEL_NOT_FOUND',
    details: { path: '/no/such/folder' },
  })
})

test('an abort keeps its name', async () => {
  const aborted = await loadModel('a/b', { signal: AbortSignal.abort('a reason') }).catch(
    (reason: unknown) => reason as NodeMlxError,
  )
  if (!(aborted instanceof NodeMlxError)) return expect.fail('nothing was aborted')
  expect(aborted.cause).toBe('a reason')
  const { message: text } = aborted
  expect(aborted.toJSON()).toEqual({ name: 'AbortError', code: 'ABORT_ERR', message: text })
  for (const copy of [aborted.toJSON(), structuredClone(aborted), invoked(aborted)])
    expect(NodeMlxError.from(copy)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
})

test.each([
  undefined,
  null,
  'text',
  {},
  { code: 'ERR_INTERNAL' },
  { name: 'Error', code: 'ERR_INTERNAL', message: 'of Node' },
  new Error('NodeMlxError [ERR_INTERNAL]: as text'),
  Object.assign(new TypeError('wrong'), { code: 'ERR_INVALID_ARG_TYPE' }),
])('%j is none of ours', (value) => {
  expect(NodeMlxError.from(value)).toBeUndefined()
})

test('is printed with its code, and begins where it was made', () => {
  const [first, second] = (error.stack ?? '').split('\n    at ')
  expect(first).toBe(`NodeMlxError [${code}]: ${message}`)
  expect(second).toContain('errors.spec.ts')
  expect(inspect(error)).toContain(`details: { name: 'topK' }`)
  expect(Object.keys(error).toSorted()).toEqual(['code', 'details'])
})
