// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `node tools/terminal-recording/record.mjs [folder] [milliseconds between keys]`: chats with the demo model in a pseudo
// terminal, and writes what it shows to docs/public as a recording for asciinema and as a picture that moves once.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, script } from '../../scripts/shared.mjs'
import { toSvg } from './svg.mjs'

const SIZE = { width: 80, height: 24 }
const COMMAND = 'npx node-mlx --model models/demo --reasoning on -t 0'
const QUESTIONS = ['What is 17 + 25?', 'My name is Ada.', 'What is my name?']
/** The end of an answer: its speed, and the next prompt. */
const ANSWERED = /tokens\/s[^]*> /u
const LONGEST_MS = 30_000

/** Runs a program in a pseudo terminal, which Python brings along. */
const BRIDGE = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))'
const SIZED = `stty cols ${SIZE.width} rows ${SIZE.height}; exec "$@"`

const [folder = join(root, 'docs/public'), pace = '45'] = process.argv.slice(2)

await script(async () => {
  prepare()
  const events = await record(Number(pace))
  mkdirSync(folder, { recursive: true })
  const header = { version: 2, ...SIZE, title: 'node-mlx', env: { TERM: 'xterm-256color' } }
  const lines = [header, ...events].map((line) => `${JSON.stringify(line)}\n`)
  writeFileSync(join(folder, 'chat.cast'), lines.join(''))
  writeFileSync(join(folder, 'chat.svg'), await toSvg(events, SIZE))
})

/** Holds the conversation, and returns the events of asciicast v2: seconds, 'o', output. */
async function record(msPerKey) {
  const events = []
  const start = performance.now()
  const show = (text) => events.push([(performance.now() - start) / 1000, 'o', text])

  // The command line, which a shell would show.
  show('$ ')
  for (const key of COMMAND) {
    await sleep(msPerKey)
    show(key)
  }
  await sleep(msPerKey * 5)
  show('\r\n')

  const [, , ...args] = COMMAND.split(' ')
  const command = [process.execPath, 'dist/cli/bin.js', ...args]
  const child = spawn('python3', ['-c', BRIDGE, 'sh', '-c', SIZED, 'sh', ...command], {
    cwd: root,
    env: { ...process.env, TERM: 'xterm-256color', NO_COLOR: '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  child.stdout.setEncoding('utf8').on('data', show)
  try {
    await shown(events, 0, /> /u)
    for (const question of QUESTIONS) {
      await sleep(msPerKey * 20)
      const before = events.length
      for (const key of `${question}\r`) {
        child.stdin.write(key)
        await sleep(msPerKey)
      }
      await shown(events, before, ANSWERED)
    }
    await sleep(msPerKey * 20)
    events.push([(performance.now() - start) / 1000, 'o', ''])
    child.stdout.off('data', show).resume()
    child.stdin.write('\u0004')
    await exit
    return events
  } finally {
    child.kill('SIGKILL')
  }
}

/** Waits until the output after an event contains this. */
async function shown(events, after, what) {
  for (let waited = 0; waited < LONGEST_MS; waited += 20) {
    const text = events.slice(after).map(([, , output]) => output)
    if (what.test(text.join(''))) return
    await sleep(20)
  }
  throw new Failure(`the terminal does not show ${what}`)
}
