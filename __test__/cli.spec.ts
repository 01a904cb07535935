// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import {
  inspectModel,
  loadModel,
  version,
  type GenerationChunk,
  type GenerationResult,
} from 'node-mlx'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { writeAnswer } from '../lib/cli/answer'
import { demoModel, makeLongModel, makeModel, root } from './helpers/models'

const CLI = join(root, 'dist/cli/bin.js')
const START = join(root, 'scripts/start.mjs')

const model = makeLongModel()
const OPTIONS = ['--model', model, '--temperature', '0', '--max-tokens', '20']

interface Run {
  status: number | null
  stdout: string
  stderr: string
}

describe('node-mlx', () => {
  test('prints the answer, and nothing else, to standard output', async () => {
    await using loaded = await loadModel(model)
    const { text } = await loaded.generate('the time', { temperature: 0, maxTokens: 20 })
    const expected = { status: 0, stdout: `${text}${text.endsWith('\n') ? '' : '\n'}`, stderr: '' }
    expect(await run(CLI, [...OPTIONS, 'the time'])).toMatchObject(expected)
    expect(await run(CLI, ['generate', ...OPTIONS, 'the', 'time'])).toMatchObject(expected)
    expect(await run(CLI, OPTIONS, 'the time\n')).toMatchObject(expected)
  })

  test('passes on the system message and the seed', async () => {
    await using loaded = await loadModel(model)
    const messages = [
      { role: 'system' as const, content: 'be brief' },
      { role: 'user' as const, content: 'hello' },
    ]
    const { text } = await loaded.generate(messages, { temperature: 1, seed: 7, maxTokens: 20 })
    const args = ['-m', model, '-t', '1', '-n', '20', '--seed', '7', '-s', 'be brief', 'hello']
    expect((await run(CLI, args)).stdout.trimEnd()).toBe(text.trimEnd())
  })

  test('passes on every option, and prints JSON and statistics on request', async () => {
    await using loaded = await loadModel(model)
    const messages = [{ role: 'user' as const, content: 'the time' }]
    const expected = await loaded.generate(messages, {
      temperature: 0.9,
      seed: 5,
      maxTokens: 30,
      topP: 0.9,
      topK: 40,
      minP: 0.01,
      minTokensToKeep: 2,
      xtcProbability: 0.5,
      xtcThreshold: 0.05,
      repetitionPenalty: 1.2,
      repetitionContextSize: 10,
      presencePenalty: 0.2,
      presenceContextSize: 11,
      frequencyPenalty: 0.1,
      frequencyContextSize: 12,
      logitBias: { 65: 1.5 },
      logprobs: 2,
      prefillStepSize: 4,
      maxKvSize: 16,
    })
    const args = `--temp 0.9 --seed 5 -n 30 --top-p 0.9 --top-k 40 --min-p 0.01 --min-tokens-to-keep 2
      --xtc-probability 0.5 --xtc-threshold 0.05 --repetition-penalty 1.2 --repetition-context-size 10
      --presence-penalty 0.2 --presence-context-size 11 --frequency-penalty 0.1
      --frequency-context-size 12 --logit-bias {"65":1.5} --logprobs 2 --prefill-step-size 4
      --max-kv-size 16 --json --verbose`
    const { status, stdout, stderr } = await run(CLI, [
      ...args.split(/\s+/u),
      '-m',
      model,
      'the time',
    ])
    expect(status).toBe(0)
    const { text, tokens, logprobs, finishReason, usage } = expected
    expect(JSON.parse(stdout)).toMatchObject({ text, tokens, logprobs, finishReason, usage })
    expect(JSON.parse(stdout)).toHaveProperty('timings.generationTokensPerSecond')
    expect(stdout).toMatch(/^[^\n]+\n$/u)
    expect(stderr).toMatch(
      /^Prompt: \d+ tokens, [\d.]+ tokens-per-sec\nGeneration: 30 tokens, [\d.]+ tokens-per-sec\nPeak memory: [\d.]+ GB\n$/u,
    )
  })

  test('passes on the start of the answer and the stop strings', async () => {
    await using loaded = await loadModel(model)
    const messages = [
      { role: 'user' as const, content: 'the time' },
      { role: 'assistant' as const, content: 'It is ' },
    ]
    const options = { temperature: 0, maxTokens: 40, ignoreEos: true }
    const { tokens } = await loaded.generate(messages, { ...options, continueFinalMessage: true })
    const args = ['-m', model, '-t', '0', '-n', '40', '--ignore-eos', '--json', 'the time']
    const prefill = ['--prefill-response', 'It is ']
    expect(JSON.parse((await run(CLI, [...prefill, ...args])).stdout)).toMatchObject({ tokens })

    const { text } = await loaded.generate('the time', options)
    const stop = text.slice(6, 8)
    const more = ['--stop', 'not in there', '--stop', stop]
    const stopped = JSON.parse((await run(CLI, [...more, ...args])).stdout) as unknown
    expect(stopped).toMatchObject({ stopString: stop, text: text.slice(0, text.indexOf(stop)) })
  })

  test.each([['--prompt-lookup'], ['--draft-model', demoModel, '--num-draft-tokens', '4']])(
    'guesses tokens with %s',
    async (...guess) => {
      const options = ['-t', '0', '-n', '60', '--ignore-eos', '--json']
      const args = ['-m', demoModel, ...options, 'Tell me a story.']
      const [plain, guessed] = await Promise.all([run(CLI, args), run(CLI, [...guess, ...args])])
      const { usage, text } = JSON.parse(guessed.stdout) as GenerationResult
      expect(text).toBe((JSON.parse(plain.stdout) as GenerationResult).text)
      expect(usage.draftedTokens).toBeGreaterThan(0)
    },
  )

  test('passes on variables for the chat template', async () => {
    const chat_template = '{{ mood }}{{ messages[0].content }}'
    const moody = makeModel({ tokenizerConfig: { chat_template } })
    await using loaded = await loadModel(moody)
    const options = { temperature: 0, maxTokens: 5, raw: true }
    const { tokens, usage } = await loaded.generate('calmhi', options)
    const config = ['--chat-template-config', '{"mood": "calm"}']
    const args = ['-m', moody, '-t', '0', '-n', '5', '--json', ...config, 'hi']
    expect(JSON.parse((await run(CLI, args)).stdout)).toMatchObject({ tokens, usage })
  })

  test('prints the answer without its reasoning, which can be switched on and off', async () => {
    await using demo = await loadModel(demoModel)
    const question = 'What is 2 + 2?'
    const args = ['-m', demoModel, '-t', '0', question]
    for (const [given, reasoning] of [
      ['on', true],
      ['off', false],
      ['2', { budget: 2 }],
    ] as const) {
      const options = ['--reasoning', given]
      const expected = await demo.generate(question, { temperature: 0, reasoning, cache: 'none' })
      expect(expected.text).not.toBe('')
      expect((await run(CLI, [...options, ...args])).stdout.trimEnd()).toBe(expected.text.trimEnd())
      const { usage } = expected
      const json = await run(CLI, [...options, '--json', ...args])
      expect(JSON.parse(json.stdout)).toMatchObject({ usage })
    }
  })

  test.each([
    [['--kv-bits', '8', '--kv-group-size', '48'], 'kvGroupSize'],
    [['--kv-bits', '7'], 'kvBits'],
    [['--quantized-kv-start=-1'], 'quantizedKvStart'],
    [['--logit-bias', '{'], '--logit-bias'],
    [['--logit-bias', '{"999":1}'], 'logitBias[999]'],
    [['--chat-template-config', '{'], '--chat-template-config'],
    [['--chat-template-config', '[]'], 'chatTemplateArgs'],
    [['--reasoning', 'maybe'], '--reasoning'],
    [['--reasoning', '1.5'], '--reasoning'],
    [['--reasoning=-1'], 'reasoning.budget'],
    [['--stop', ''], 'stop'],
  ])('reports an error for %j', async (args, what) => {
    const { status, stderr } = await run(CLI, [...OPTIONS, ...args, 'hello'])
    expect(status).toBe(1)
    expect(stderr).toMatch(/^node-mlx: [^\n]+\n$/u)
    expect(stderr).toContain(what)
  })

  test('prints its version and its help', async () => {
    expect(await run(CLI, ['--version'])).toMatchObject({ status: 0, stdout: `${version}\n` })
    const help = await run(CLI, ['--help'])
    expect(help).toMatchObject({ status: 0, stderr: '' })
    expect(help.stdout).toContain('--max-tokens')
  })

  test.each([
    [['hello'], '--model'],
    [[...OPTIONS], 'prompt'],
    [['--model', '/no/such/folder', 'hello'], '/no/such/folder'],
    [['--model', model, '--adapter-path', '/no/adapter', 'hello'], '/no/adapter'],
    [['--nonsense', 'hello'], '--nonsense'],
    [['--temperature', 'hot', 'hello'], '--temperature'],
    [['chat', '--model', model, '--prefill-response', 'a'], '--prefill-response'],
    [['--model', model, '--max-tokens=-5', 'hello'], 'maxTokens'],
    [['--model', model, '--num-draft-tokens', '2', 'hello'], '--num-draft-tokens'],
    [['--model', model, '--draft-model', model, '--prompt-lookup', 'hello'], '--prompt-lookup'],
    [['--model', model, '--draft-model', '/no/such/model', 'hello'], '/no/such/model'],
  ])('says in one line what is wrong with %j', async (args, what) => {
    const { status, stdout, stderr } = await run(CLI, args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^node-mlx: [^\n]+\n$/u)
    expect(stderr).toContain(what)
  })

  test("prints a model's properties and memory needs", async () => {
    const { stdout, stderr } = await run(CLI, ['inspect', demoModel, '--context', '300'])
    expect(stderr).toBe('')
    expect(stdout).toContain(`model         ${demoModel}\n`)
    expect(stdout).toMatch(/^architecture +\w+$/mu)
    expect(stdout).toMatch(/^parameters +\d+\.\d million$/mu)
    expect(stdout).toMatch(/^KV cache +\d+\.\d MB for 300 tokens$/mu)
    expect(stdout).toMatch(/^in memory +\d+\.\d MB; \d+\.\d [MGT]B available$/mu)

    const json = await run(CLI, ['inspect', '--json', '--model', demoModel])
    const { memory, ...inspected } = await inspectModel(demoModel)
    const { available: _, ...rest } = memory
    expect(JSON.parse(json.stdout)).toMatchObject({ ...inspected, memory: rest })
    for (const args of [[], [demoModel, demoModel], [demoModel, '--context', 'x'], ['/nowhere']]) {
      expect((await run(CLI, ['inspect', ...args])).stderr).toMatch(/^node-mlx: .*\n$/u)
    }
  })

  test('stops when its output is closed', async () => {
    const args = ['--model', model, '-n', '90000', '-t', '1', '--ignore-eos', 'hello']
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise((resolve) => child.on('exit', resolve))
    expect(status).toBe(0)
  })

  test('chats line by line', async () => {
    const { status, stdout } = await run(
      CLI,
      ['chat', ...OPTIONS],
      'the time\n\n/reset\nthe time\n/quit\nx\n',
    )
    expect(status).toBe(0)
    const answer = (await run(CLI, [...OPTIONS, 'the time'])).stdout
    expect(stdout).toBe(answer + answer)
  })

  test('changes the system message in a chat, which /reset keeps', async () => {
    const args = [...OPTIONS, '--system', 'be brief', 'the time']
    const [brief, plain] = await Promise.all([run(CLI, args), run(CLI, [...OPTIONS, 'the time'])])
    expect(brief.stdout).not.toBe(plain.stdout)
    const lines = ['/system be brief', 'the time', '/reset', 'the time', '/system off', '/reset']
    const { stdout, stderr } = await run(
      CLI,
      ['chat', ...OPTIONS],
      [...lines, 'the time'].join('\n'),
    )
    expect(stdout).toBe(brief.stdout + brief.stdout + plain.stdout)
    expect(stderr).toBe('system message: be brief\nsystem message: none\n')
  })

  test('chats in JSON, one object per answer', async () => {
    const { status, stdout } = await run(CLI, ['chat', ...OPTIONS, '--json'], 'one\ntwo\n')
    expect(status).toBe(0)
    const answers = stdout.trimEnd().split('\n')
    expect(answers.map((line) => JSON.parse(line) as unknown)).toEqual(
      Array.from(
        { length: 2 },
        () => expect.objectContaining({ finishReason: 'length' }) as unknown,
      ),
    )
  })
})

describe('an answer is printed', () => {
  const base = { tokens: [] }
  const toolCall = { id: '1', name: 'clock', arguments: { zone: 'UTC' } }
  const chunks: GenerationChunk[] = [
    { type: 'text', text: '', ...base },
    { type: 'reasoning', text: 'Let me ', ...base },
    { type: 'reasoning', text: 'see.', ...base },
    { type: 'text', text: '', ...base },
    { type: 'text', text: 'I ask', ...base },
    { type: 'text', text: ' it.', ...base },
    { type: 'tool-call-delta', text: '', index: 0, arguments: '{}', ...base },
    { type: 'tool-call', text: '', index: 0, toolCall, ...base },
    { type: 'tool-call', text: '', index: 1, toolCall, ...base },
  ]
  const call = `${JSON.stringify(toolCall)}\n`
  const dim = (text: string) => `\u001B[2m${text}\u001B[22m`

  test.each([
    ['a pipe', false, chunks, `I ask it.\n${call}${call}`],
    ['a pipe, reasoning alone', false, chunks.slice(0, 3), ''],
    ['a terminal', true, chunks, `${dim('Let me ')}${dim('see.')}\n\nI ask it.\n${call}${call}`],
    [
      'a terminal, which takes no orders from a model',
      true,
      [{ type: 'text', text: '\u001B]0;x\u0007a\u009B2J\r\n\tb', ...base }],
      ']0;xa2J\n\tb\n',
    ],
    ['a terminal, reasoning alone', true, chunks.slice(0, 2), `${dim('Let me ')}\n`],
    [
      'a terminal, a call after reasoning',
      true,
      [chunks[1], chunks[7]],
      `${dim('Let me ')}\n\n${call}`,
    ],
  ] satisfies [string, boolean, (GenerationChunk | undefined)[], string][])(
    'on %s',
    async (_, isTTY, given, expected) => {
      vi.stubEnv('TERM', 'xterm')
      vi.stubEnv('NO_COLOR', '')
      let printed = ''
      const { stdout, stderr } = process
      const wasTTY = [stdout.isTTY, stderr.isTTY] as const
      const write = vi.spyOn(stdout, 'write').mockImplementation((text) => {
        printed += String(text)
        return true
      })
      onTestFinished(() => {
        write.mockRestore()
        ;[stdout.isTTY, stderr.isTTY] = wasTTY
        vi.unstubAllEnvs()
      })
      stdout.isTTY = isTTY
      stderr.isTTY = false
      async function* generate() {
        yield* given
      }
      await writeAnswer(generate() as unknown as Parameters<typeof writeAnswer>[0], {
        json: false,
        verbose: false,
      })
      expect(printed).toBe(expected)
    },
  )
})

describe('npm start', () => {
  test('answers a question', async () => {
    const { status, stdout } = await run(START, ['What is the capital of France?'])
    expect(status).toBe(0)
    expect(stdout).toContain('Paris')
  })

  test('answers a question from a pipe', async () => {
    const { status, stdout } = await run(START, [], 'What is the capital of France?\n')
    expect(status).toBe(0)
    expect(stdout).toContain('Paris')
  })

  test('sees a question that came while the process had to wait', async () => {
    const program = `
      const { readQuestion } = require(${JSON.stringify(join(root, 'dist/cli/input.js'))})
      const question = readQuestion('none')
      for (const end = performance.now() + 1500; performance.now() < end; );
      question.then(console.log)
    `
    expect(await run('-e', [program], 'What?\n')).toMatchObject({ stdout: 'What?\n', stderr: '' })
  })

  test.each(['closed', 'silent'])('greets if the input is %s', async (input) => {
    const { status, stdout } = await run(START, [], input === 'closed' ? '' : undefined)
    expect(status).toBe(0)
    expect(stdout.trim()).not.toBe('')
  })
})

/** Runs a script; `input` undefined leaves its standard input open and silent. */
async function run(script: string, args: readonly string[], input?: string): Promise<Run> {
  const child = spawn(process.execPath, [script, ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  if (script === CLI || input !== undefined) child.stdin.end(input ?? '')
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, stdout, stderr }))
  })
}
