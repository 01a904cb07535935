// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The command line in a terminal: what pipes do not see.

import { join } from 'node:path'
import { downloadModel } from 'node-mlx'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { fittingModels } from '../lib/cli/models'
import { progressBar, progressLine } from '../lib/cli/progress'
import { ID, startHub, type Hub } from './helpers/hub-server'
import { random } from './helpers/hub-download'
import { demoModel, makeLongModel, root } from './helpers/models'
import { CTRL_C, CTRL_D, DOWN, openTerminal, UP } from './helpers/terminal'

const CLI = join(root, 'dist/cli/bin.js')
const START = join(root, 'scripts/start.mjs')
const DEMO = ['-m', demoModel, '-t', '0']
const PROMPT = />\s[^\n]*$/u

describe.skipIf(process.platform === 'win32')('in a terminal', () => {
  test('chats, with the speed after each answer', async () => {
    const terminal = openTerminal(START, ['--model', demoModel])
    await terminal.until(/> /u)
    terminal.type('What is the capital of France?\r')
    await terminal.until(/Paris/u)
    await terminal.until(/tokens\/s/u)
    await terminal.until(/> /u)
    terminal.type('/quit\r')
    expect(await terminal.exit).toBe(0)
  })

  test('greets with the model, its device and the commands, and asks no model about them', async () => {
    const terminal = openTerminal(CLI, DEMO)
    const greeting = await terminal.until(PROMPT)
    expect(greeting).toContain(`\u001B[1m${demoModel}\u001B[22m\r\n`)
    expect(greeting).toMatch(/7\.1 million parameters, 8 bits, on the [CG]PU/u)
    expect(greeting).toMatch(/\/help.*\/system.*\/reset.*\/quit/u)
    terminal.type('/help\r')
    expect(await terminal.until(/↑[^]*> /u)).toContain('/system TEXT')
    terminal.type('/hlep me\r')
    await terminal.until(/no command \/hlep[^]*> /u)
    terminal.type('/system Be brief.\r')
    await terminal.until(/system message: Be brief\.[^]*> /u)
    terminal.type('/system off\r')
    await terminal.until(/system message: none[^]*> /u)
    terminal.type('/quit\r')
    expect(await terminal.exit).toBe(0)
    expect(terminal.text()).not.toContain('tokens/s')
  })

  test('recalls earlier questions', async () => {
    const terminal = openTerminal(CLI, DEMO)
    await terminal.until(PROMPT)
    terminal.type('What is 2 + 3?\r')
    await terminal.until(/= 5\.[^]*> /u)
    terminal.type('What is 4 + 4?\r')
    await terminal.until(/= 8\.[^]*> /u)
    terminal.type(`${UP}${UP}\r`)
    await terminal.until(/= 5\.[^]*> /u)
    terminal.type(CTRL_D)
    expect(await terminal.exit).toBe(0)
  })

  test('shows the reasoning, then the answer', async () => {
    const terminal = openTerminal(CLI, [...DEMO, '--reasoning', 'on', 'What is 2 + 2?'])
    // oxlint-disable-next-line no-control-regex -- dimmed text, an empty line, and text that is not
    await terminal.until(/\u001B\[2m[^]*\u001B\[22m\r\n\r\n[^\u001B]*4/u)
    expect(await terminal.exit).toBe(0)
  })

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('styles nothing with %o', async (env) => {
    const terminal = openTerminal(CLI, [...DEMO, '--reasoning', 'on'], env)
    await terminal.until(PROMPT)
    terminal.type('What is 2 + 2?\r')
    await terminal.until(/= 4[^]*= 4[^]*tokens\/s[^]*> /u)
    terminal.type(CTRL_D)
    expect(await terminal.exit).toBe(0)
    // oxlint-disable-next-line no-control-regex -- what sets colours and weights
    expect(terminal.text()).not.toMatch(/\u001B\[\d*m/u)
  })

  test('Ctrl-C stops the answer, then empties the line, then quits', async () => {
    const terminal = openTerminal(CLI, endless())
    await terminal.until(/> /u)
    terminal.type('hello\r')
    await terminal.until(/hello[\r\n]+[^]{20}/u)
    terminal.type(CTRL_C)
    await terminal.until(/stopped[^]*> [^a-z]*$/u)
    terminal.type('typed')
    await terminal.until(/typed/u)
    terminal.type(CTRL_C)
    await terminal.until(/> [^a-z]*$/u)
    terminal.type(CTRL_C)
    expect(await terminal.exit).toBe(0)
  })

  test('keys pressed during an answer appear after it', async () => {
    const terminal = openTerminal(CLI, endless())
    await terminal.until(/> /u)
    terminal.type('hello\r')
    await terminal.until(/hello[\r\n]+[^]{20}/u)
    terminal.type('/system @@@\r/quit\r')
    terminal.type(CTRL_C)
    const rest = await terminal.until(/stopped[^]*\/quit/u)
    expect(await terminal.exit).toBe(0)
    const [answer = '', after] = rest.split('stopped')
    expect(answer).not.toContain('/system')
    expect(after).toMatch(/> .*\/system @@@\r\nsystem message: @@@\r\n.*> .*\/quit/u)
  })
})

describe.skipIf(process.platform === 'win32')('without a model, in a terminal', () => {
  test('offers models that fit into memory, those in the cache first', async () => {
    const hub = await startHub()
    await downloadModel(ID, hub.options)
    const terminal = openTerminal(CLI, [], hubEnv(hub))
    const list = await terminal.until(/Ctrl-C leaves/u)
    expect(list).toMatch(/[\d.]+ [MGT]B of memory/u)
    expect(list).toMatch(/❯ 1 {2}owner\/tiny-model +[\d.]+ kB {2}downloaded/u)
    expect(list).toMatch(/ {2}2 {2}mlx-community\/\S+ +[\d.]+ [MG]B\r/u)
    terminal.type('1')
    await terminal.until(/--model owner\/tiny-model[^]*> /u)
    terminal.type('/quit\r')
    expect(await terminal.exit).toBe(0)
  })

  test('lets the arrow keys choose', async () => {
    const hub = await startHub()
    await downloadModel(ID, hub.options)
    const terminal = openTerminal(CLI, ['chat'], hubEnv(hub))
    await terminal.until(/Ctrl-C leaves/u)
    terminal.type(DOWN)
    await terminal.until(/❯ 2/u)
    terminal.type(UP)
    await terminal.until(/❯ 1/u)
    terminal.type(`${UP}${DOWN}\r`)
    await terminal.until(/--model owner\/tiny-model[^]*> /u)
    terminal.type(CTRL_D)
    expect(await terminal.exit).toBe(0)
  })

  test('takes numbers where nothing can be redrawn', async () => {
    const hub = await startHub()
    await downloadModel(ID, hub.options)
    const terminal = openTerminal(CLI, [], { ...hubEnv(hub), TERM: 'dumb' })
    expect(await terminal.until(/Press a number/u)).not.toContain('\u001B')
    terminal.type(`${DOWN}\r1`)
    await terminal.until(/--model owner\/tiny-model[^]*> /u)
    terminal.type(CTRL_D)
    expect(await terminal.exit).toBe(0)
  })

  test.each([CTRL_C, '\u001B'])('%j leaves', async (key) => {
    const terminal = openTerminal(CLI, [], hubEnv(await startHub()))
    await terminal.until(/Ctrl-C leaves/u)
    terminal.type(key)
    await terminal.until(/node-mlx: no model given; use --model/u)
    expect(await terminal.exit).toBe(1)
  })

  test('has nothing to offer offline with an empty cache', async () => {
    const env = { ...hubEnv(await startHub()), HF_HUB_OFFLINE: '1' }
    const terminal = openTerminal(CLI, [], env)
    expect(await terminal.exit).toBe(1)
    expect(terminal.text()).not.toContain('No model given')
  })
})

// On a Mac, all of the memory counts.
test.skipIf(process.platform === 'darwin').each([
  [1e9, []],
  [1.5e9, ['mlx-community/Qwen3-0.6B-4bit']],
  [
    4e9,
    [
      'mlx-community/Qwen3-0.6B-4bit',
      'mlx-community/Qwen3-1.7B-4bit',
      'mlx-community/Qwen3-4B-Instruct-2507-4bit',
    ],
  ],
])('into %d bytes of memory fit %j', async (bytes, ids) => {
  vi.stubEnv('HF_HUB_CACHE', '/no/such/cache')
  vi.stubEnv('HF_HUB_OFFLINE', '')
  const memory = vi.spyOn(process, 'availableMemory').mockReturnValue(bytes)
  onTestFinished(() => {
    vi.unstubAllEnvs()
    memory.mockRestore()
  })
  const { available, choices } = await fittingModels()
  expect(available).toBe(bytes)
  expect(choices.map(({ id }) => id)).toEqual(ids)
})

describe('progress', () => {
  test.skipIf(process.platform === 'win32')('of a download is drawn as one line', async () => {
    const hub = await startHub({
      'config.json': Buffer.from('{}'),
      'model.safetensors': random(4e6),
    })
    // Two minutes, unless the rest comes at once.
    hub.burst = 64
    const terminal = openTerminal(CLI, ['pull', ID], hubEnv(hub))
    await terminal.until(
      /downloading {2}█*░+ {2,}\d+% {2}[\d.]+ kB of 4\.0 MB {2}[\d.]+ kB\/s {2}(?:\d+ min )?\d+ s left/u,
    )
    hub.burst = Infinity
    expect(await terminal.exit).toBe(0)
    // oxlint-disable-next-line no-control-regex -- each line replaces the last, and none is left
    expect(terminal.text()).toMatch(/^(?:\r\u001B\[K[^\r\n]+)+\r\u001B\[K\/\S+\r\n$/u)
  })

  test('has bytes, speed and time left, and a bar if there is room', () => {
    const amount = { loaded: 1.2e9, total: 4.8e9 }
    const details = ' 25%  1.2 GB of 4.8 GB'
    expect(progressLine('loading', amount, 0, 80)).toBe(
      `loading  ${'█'.repeat(6)}${'░'.repeat(18)}  ${details}`,
    )
    expect(progressLine('loading', amount, 1e8, 80)).toMatch(/100\.0 MB\/s {2}36 s left$/u)
    expect(progressLine('loading', amount, 1e7, 80)).toMatch(/ 6 min 0 s left$/u)
    expect(progressLine('loading', amount, 1e6, 80)).toMatch(/ 1 h 0 min left$/u)
    expect(progressLine('loading', amount, 0, 40)).toBe(`loading  ${details}`)
    for (let columns = 10; columns < 120; columns += 1)
      expect(progressLine('loading', amount, 1e8, columns).length).toBeLessThan(columns)
  })

  test('of loading is drawn after a while, not too often, and cleared at the end', () => {
    const { drawn, advance } = fakeTerminal()
    const report = progressBar()
    const load = (loaded: number) => report?.({ stage: 'load', loaded, total: 100e6 })
    for (let loaded = 10e6; loaded <= 50e6; loaded += 10e6) {
      load(loaded)
      advance(100)
    }
    load(51e6)
    load(52e6)
    expect(drawn).toHaveLength(3)
    expect(drawn.at(-1)).toMatch(/^\r\S+loading .* 51% .* 82\.0 MB\/s {2}1 s left$/u)
    load(100e6)
    expect(drawn.at(-1)).toBe('\r\u001B[K')
    load(0)
    load(100e6)
    expect(drawn).toHaveLength(4)
  })

  test.each([{ TERM: 'dumb' }, { HF_HUB_DISABLE_PROGRESS_BARS: '1' }])(
    'is not drawn with %o',
    (env) => {
      fakeTerminal()
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
      expect(progressBar()).toBeUndefined()
    },
  )
})

/** A chat whose answers do not end by themselves. */
function endless(): string[] {
  return ['--model', makeLongModel(), '-n', '90000', '-t', '1', '--seed', '1', '--ignore-eos']
}

function hubEnv({ options }: Hub): Record<string, string> {
  return {
    HF_HUB_CACHE: options.cacheDir,
    HF_ENDPOINT: options.endpoint,
    HF_TOKEN_PATH: options.cacheDir,
  }
}

/** Makes standard error a terminal, with a clock of its own, until the test ends. */
function fakeTerminal() {
  const { stderr } = process
  const { isTTY, columns } = stderr
  const drawn: string[] = []
  vi.stubEnv('TERM', 'xterm')
  vi.stubEnv('HF_HUB_DISABLE_PROGRESS_BARS', '')
  vi.useFakeTimers({ toFake: ['performance'] })
  const write = vi.spyOn(stderr, 'write').mockImplementation((text) => drawn.push(String(text)) > 0)
  Object.assign(stderr, { isTTY: true, columns: 80 })
  onTestFinished(() => {
    write.mockRestore()
    Object.assign(stderr, { isTTY, columns })
    vi.useRealTimers()
    vi.unstubAllEnvs()
  })
  return { drawn, advance: (ms: number) => vi.advanceTimersByTime(ms) }
}
