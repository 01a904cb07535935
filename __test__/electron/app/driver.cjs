// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Becomes the main file of a packaged template: runs the template's own, and uses its page as a user would.

const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { app } = require('electron')

/** What is captured is the frame on the screen, which may be older than the page. */
const NEXT_FRAME = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))'

/** Runs in the page. Sends a question; resolves with its answer, and what the page says then. */
async function ask(question, stopEarly) {
  const find = (selector) => document.querySelector(selector)
  const until = async (test) => {
    while (!test()) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await until(() => !find('#send').disabled)
  const model = find('#status').textContent
  const answer = () => find('#messages p:last-child')
  if (stopEarly) {
    const onChange = (_, observer) => {
      if (answer().className !== 'assistant' || answer().textContent === '') return
      observer.disconnect()
      find('#stop').click()
    }
    new MutationObserver(onChange).observe(find('#messages'), { childList: true, subtree: true })
  }
  find('#question').value = question
  find('#send').click()
  await until(() => !find('#stop').disabled)
  await until(() => find('#stop').disabled)
  return { model, text: answer().textContent, status: find('#status').textContent }
}

async function drive(contents) {
  const call = (...args) =>
    contents.executeJavaScript(`(${ask})(${args.map((arg) => JSON.stringify(arg)).join()})`)
  const capture = async (name) => {
    await contents.executeJavaScript(NEXT_FRAME)
    const image = await contents.capturePage()
    writeFileSync(join(process.env.SHOTS, `${name}.png`), image.toPNG())
  }
  const answered = await call('What is the capital of France?')
  await capture('answered')
  const stopped = await call('Tell me a story.', true)
  await capture('stopped')
  console.log(`${answered.model}: ${answered.text} (${answered.status}); ${stopped.status}`)
  const isRight = answered.text.includes('Paris') && /\d tokens\/s/u.test(answered.status)
  return isRight && stopped.text !== '' && stopped.status === 'stopped'
}

app.once('web-contents-created', (_, contents) => {
  contents.once('did-finish-load', () => {
    drive(contents).then(
      (passed) => (passed ? app.quit() : app.exit(1)),
      (error) => {
        console.error(error)
        app.exit(1)
      },
    )
  })
})

const { template } = require(join(app.getAppPath(), 'package.json'))
require(join(app.getAppPath(), template))
