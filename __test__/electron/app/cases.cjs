// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Each case returns true, or quits the app itself.

const assert = require('node:assert/strict')
const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { app, BrowserWindow } = require('electron')

const model = process.env.MODEL
const SHORT = { maxTokens: 8, temperature: 0 }
const LONG = { maxTokens: 2000, ignoreEos: true }
/** What is captured is the frame on the screen, which may be older than the page. */
const NEXT_FRAME = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))'

module.exports = { main, host, limit, page, missing, packedModel, quit }

/** The main process loads, generates and aborts. */
async function main() {
  const { loadModel } = require('node-mlx')
  const loaded = await loadModel(model)
  const { text } = await loaded.generate('Hello!', SHORT)
  assert.ok(text.length > 0)
  const ids = await loaded.tokenizer.encode(text)
  assert.equal(await loaded.tokenizer.decode(ids), text)
  const run = loaded.generate('Hello!', { ...LONG, signal: AbortSignal.timeout(200) })
  assert.equal((await rejection(run)).code, 'ABORT_ERR')
  await loaded.dispose()
  return true
}

/** A utilityProcess streams, runs two at once, chats, reports errors, dies, and is started again. */
async function host() {
  const { startHost } = require('node-mlx/electron')
  const exits = []
  const started = await startHost({ onExit: ({ exitCode }) => exits.push(exitCode) })
  assert.ok((await started.devices()).includes('cpu'))
  const stages = new Set()
  const loaded = await started.loadModel(model, { onProgress: ({ stage }) => stages.add(stage) })
  assert.deepEqual([...stages], ['load'])

  const run = loaded.generate('Hello!', SHORT)
  let streamed = ''
  for await (const chunk of run) streamed += chunk.text
  assert.equal(streamed, (await run).text)
  const questions = ['Hello!', 'Who are you?']
  const both = await Promise.all(questions.map((text) => loaded.generate(text, SHORT)))
  assert.equal(both[0].text, streamed)

  const error = await rejection(loaded.generate('Hello!', { temperature: -1 }))
  checkError(error, { code: 'ERR_OUT_OF_RANGE', details: { name: 'temperature' } })
  checkError(await rejection(started.loadModel('/no/such/folder')), { code: 'ERR_MODEL_NOT_FOUND' })
  const aborted = loaded.generate('Hello!', { ...LONG, signal: AbortSignal.timeout(200) })
  checkError(await rejection(aborted), { code: 'ABORT_ERR', name: 'AbortError' })

  const chat = loaded.chat()
  await chat.send('My name is Ada.', SHORT)
  const { usage } = await chat.send('Hello!', SHORT)
  assert.ok(usage.cachedTokens > 0)

  const gone = await rejection(killMidway(loaded))
  checkError(gone, { code: 'ERR_PROCESS_GONE', details: { exitCode: exits[0] } })
  // The chat is first: its prompt begins as that of the run, whose cache it would take.
  const next = await chat.send('Hello!', SHORT)
  assert.equal(next.usage.cachedTokens, 0)
  assert.equal(chat.messages.length, 6)
  const again = await loaded.generate('Hello!', SHORT)
  assert.equal(again.text, streamed)

  await started.dispose()
  assert.equal(exits.length, 1)
  checkError(await rejection(loaded.generate('Hello!', SHORT)), { code: 'ERR_INVALID_STATE' })
  return true
}

/** A process that dies again and again is given up. */
async function limit() {
  const { startHost } = require('node-mlx/electron')
  const started = await startHost({ maxRestarts: 1 })
  const loaded = await started.loadModel(model)
  for (let death = 1; death <= 2; death += 1) {
    checkError(await rejection(killMidway(loaded)), { code: 'ERR_PROCESS_GONE' })
  }
  const error = await rejection(loaded.generate('Hello!', SHORT))
  checkError(error, { code: 'ERR_PROCESS_GONE', details: undefined })
  assert.match(error.message, /died 2 times within a minute/u)
  return true
}

/** A sandboxed page streams, stops, survives the death of the process, and is reloaded. */
async function page() {
  const { preload, startHost } = require('node-mlx/electron')
  const started = await startHost()
  const window = new BrowserWindow({ width: 700, height: 420, webPreferences: { preload } })
  const call = (code) => window.webContents.executeJavaScript(code)
  const open = () => window.loadFile(join(__dirname, 'page.html'))

  await open()
  assert.deepEqual(await call('connect()'), { code: 'ERR_INVALID_STATE' })
  started.connect(window.webContents, await started.loadModel(model))
  const facts = await call('connect()')
  assert.equal(facts.id, model)
  assert.ok(facts.contextLength > 0)

  const told = await call('ask("Tell me a story.", { maxTokens: 60, temperature: 0 })')
  assert.ok(told.chunks > 1)
  assert.equal(told.streamed, told.text)
  assert.equal(told.shown, told.text)
  await capture(window, 'page')
  assert.deepEqual(await call('ask("Hello!", { temperature: -1 })'), {
    code: 'ERR_OUT_OF_RANGE',
    details: { name: 'temperature' },
  })

  const stopped = await call(`askAndStop(${JSON.stringify(LONG)})`)
  assert.ok(stopped.chunks > 0)
  assert.equal(stopped.code, 'ABORT_ERR')
  await capture(window, 'page-stopped')

  const busy = call(`ask("Hello!", ${JSON.stringify(LONG)})`)
  await new Promise((resolve) => setTimeout(resolve, 200))
  killHost()
  assert.equal((await busy).code, 'ERR_PROCESS_GONE')
  assert.equal(
    (await call('ask("Tell me a story.", { maxTokens: 60, temperature: 0 })')).text,
    told.text,
  )

  // A run is under way when its page goes.
  void call(`ask("Hello!", ${JSON.stringify(LONG)})`).catch(() => {})
  await open()
  await call('connect()')
  assert.equal(
    (await call('ask("Tell me a story.", { maxTokens: 60, temperature: 0 })')).text,
    told.text,
  )
  return true
}

/** Where only `*.node` files are unpacked, the error says what to configure. */
async function missing() {
  const { startHost } = require('node-mlx/electron')
  const line = "asar: { unpack: '**/node_modules/{node-mlx,node-mlx-*}/**/*' }"
  const error = await rejection(startHost())
  checkError(error, { code: 'ERR_BINARY_MISSING' })
  assert.ok(error.message.includes(line), error.message)
  const inMain = await rejection((async () => require('node-mlx'))())
  checkError(inMain, { code: 'ERR_BINARY_MISSING', message: error.message })
  console.log(error.message)
  return true
}

/** A model in the archive cannot be loaded, and the error says why. */
async function packedModel() {
  const { loadModel } = require('node-mlx')
  const error = await rejection(loadModel(join(__dirname, 'model')))
  checkError(error, { code: 'ERR_MODEL_NOT_FOUND' })
  assert.match(error.message, /lies in an asar archive/u)
  return true
}

/** The app quits while both processes are busy. */
async function quit() {
  const { loadModel } = require('node-mlx')
  const { startHost } = require('node-mlx/electron')
  const started = await startHost()
  const runs = [await loadModel(model), await started.loadModel(model)].map((loaded) =>
    loaded.generate('Hello!', LONG)[Symbol.asyncIterator](),
  )
  for (const run of runs) await run.next()
  app.quit()
}

async function killMidway(loaded) {
  for await (const chunk of loaded.generate('Hello!', LONG)) if (chunk.text !== '') killHost()
}

/** Kills the utilityProcess, as a crash would. */
function killHost() {
  const { pid } =
    app.getAppMetrics().find(({ type, name }) => type === 'Utility' && name === 'node-mlx') ?? {}
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
}

async function rejection(promise) {
  return promise.then(
    () => assert.fail('it did not reject'),
    (error) => error,
  )
}

function checkError(error, expected) {
  const { NodeMlxError } = require('node-mlx/electron')
  assert.ok(error instanceof NodeMlxError, String(error))
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(error[key], value)
}

async function capture(window, name) {
  await window.webContents.executeJavaScript(NEXT_FRAME)
  const image = await window.webContents.capturePage()
  writeFileSync(join(process.env.SHOTS, `${name}.png`), image.toPNG())
}
