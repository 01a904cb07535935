// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// chat.run: functions that the model calls are executed, and what they give goes back to it.

import { setTimeout as sleep } from 'node:timers/promises'
import {
  loadModel,
  tool,
  type ChatRunOptions,
  type ChatStep,
  type Model,
  type Tool,
  type ToolContext,
} from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { demoModel } from './helpers/models'
import { makeScriptedModel } from './helpers/scripted-model'

const City = z.strictObject({ city: z.string() })
const WEATHER = tool({
  name: 'get_weather',
  description: 'Get the weather of a city',
  inputSchema: City,
  execute: async ({ city }) => `${city}: sunny, 21 degrees`,
})

let demo: Model
/** Answers every message with three calls: of `a`, `b` and `c`. */
let caller: Model

beforeAll(async () => {
  demo = await loadModel(demoModel)
  const calls = ['a', 'b', 'c'].flatMap((name, index) => [
    `<tool_call>${' '.repeat(index)}`,
    `{"name": "${name}", "arguments": {"n": ${index}}}`,
    `</tool_call>${' '.repeat(index)}`,
  ])
  const template = '{# <tool_call> tool_call.name #}{{ messages | length }}'
  caller = await loadModel(makeScriptedModel(calls, { template }).folder)
})
afterAll(async () => {
  await demo.dispose()
  await caller.dispose()
})

const named = (execute: Tool['execute'], ...names: string[]): Tool[] =>
  names.map((name) => ({ name, inputSchema: { type: 'object' }, execute }))

/** Until its signal is aborted. */
const forever = (_: unknown, { abortSignal }: ToolContext): Promise<never> =>
  new Promise((_resolve, reject) => {
    abortSignal.addEventListener('abort', () => reject(abortSignal.reason as Error))
  })

describe('the demo model', () => {
  test('calls a function, and answers with what it gave', async () => {
    using chat = demo.chat({ tools: [WEATHER], temperature: 0 })
    const seen: ChatStep[] = []
    const result = await chat.run('What is the weather in Paris?', {
      onStep: (step) => seen.push(step),
    })
    expect(result).toMatchObject({ finishReason: 'stop', toolCalls: [] })
    expect(result.text).toMatch(/sunny/u)
    expect(result.text).toMatch(/21/u)
    const [asked, answered] = result.steps
    expect(seen).toEqual(result.steps)
    expect(asked?.toolResults).toEqual([
      {
        toolCall: asked?.toolCalls[0],
        output: 'Paris: sunny, 21 degrees',
        content: 'Paris: sunny, 21 degrees',
      },
    ])
    expect([answered?.text, answered?.toolResults]).toEqual([result.text, []])
    for (const key of ['promptTokens', 'completionTokens', 'cachedTokens'] as const)
      expect(result.usage[key]).toBe((asked?.usage[key] ?? 0) + (answered?.usage[key] ?? 0))
    expect(answered?.usage.cachedTokens).toBeGreaterThan(100)
    expect(chat.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'tool',
      'assistant',
    ])
    expect(chat.messages[2]).toEqual({
      role: 'tool',
      name: 'get_weather',
      toolCallId: asked?.toolCalls[0]?.id,
      content: 'Paris: sunny, 21 degrees',
    })
  })

  test('must call only at first, where a call must come', async () => {
    using chat = demo.chat({ temperature: 0 })
    const { steps, finishReason } = await chat.run('What is the weather in Rome?', {
      tools: [WEATHER],
      toolChoice: 'required',
      maxSteps: 4,
    })
    expect(steps.map(({ toolCalls }) => toolCalls.length > 0)).toEqual([true, false])
    expect(finishReason).toBe('stop')
  })

  test('need not call anything', async () => {
    using chat = demo.chat({ temperature: 0 })
    const { steps, text, usage } = await chat.run('What is 2 plus 3?')
    expect(text).toMatch(/5/u)
    expect(steps).toMatchObject([{ text, usage, toolResults: [] }])
  })
})

describe('several calls in an answer', () => {
  test('run at the same time; what fails is told to the model', async () => {
    let running = 0
    let most = 0
    const tools = [
      ...named(async ({ n }: { n: number }) => {
        most = Math.max(most, ++running)
        await sleep(50)
        running -= 1
        return { n, list: [null, 'é'] }
      }, 'a'),
      ...named(() => {
        most = Math.max(most, ++running)
        throw new TypeError('no such city')
      }, 'b'),
      ...named(forever, 'c'),
    ]
    using chat = caller.chat({ tools })
    const { steps } = await chat.run('?', { maxSteps: 2, toolTimeout: 100, temperature: 0 })
    expect(most).toBe(2)
    expect(steps[0]?.toolResults.map(({ content }) => content)).toEqual([
      '{"n":0,"list":[null,"é"]}',
      'Error: no such city',
      'Error: the call took longer than 100 ms',
    ])
    expect(steps[0]?.toolResults).toMatchObject([
      { output: { n: 0 } },
      { error: expect.any(TypeError) as TypeError },
      { error: { name: 'TimeoutError' } },
    ])
    expect(chat.messages.slice(2, 5)).toMatchObject(
      ['a', 'b', 'c'].map((name, index) => ({
        role: 'tool',
        name,
        toolCallId: steps[0]?.toolCalls[index]?.id,
      })),
    )
  })

  test('to functions that do not exist, or with wrong arguments, are told so', async () => {
    const Even = z.object({ n: z.int().refine((n) => n % 2 === 0, 'must be even') })
    const Word = z.object({ n: z.int().transform((n) => 'x'.repeat(n)) })
    const tools = [
      tool({ name: 'b', inputSchema: Even, execute: () => 1 }),
      tool({ name: 'c', inputSchema: Word, execute: ({ n }) => n }),
    ]
    using chat = caller.chat({ temperature: 0 })
    const { steps } = await chat.run('?', { tools, maxSteps: 2 })
    expect(steps[0]?.toolResults.map(({ content }) => content)).toEqual([
      'Error: a: there is no such function; those that exist are b, c',
      'Error: the schema rejects the arguments of b: n: must be even',
      'xx',
    ])
  })

  test('return nothing, a string that is no JSON, or what cannot be sent', async () => {
    const tools = [...named(() => {}, 'a'), ...named(() => '"', 'b'), ...named(() => 1n, 'c')]
    using chat = caller.chat({ temperature: 0 })
    const { steps } = await chat.run('?', { tools, maxSteps: 2 })
    const contents = steps[0]?.toolResults.map(({ content }) => content)
    expect(contents?.slice(0, 2)).toEqual(['', '"'])
    expect(contents?.[2]).toMatch(/^Error: .*JSON/u)
  })
})

test('maxSteps ends the run with calls that were not executed', async () => {
  let executed = 0
  const tools = named(() => ++executed, 'a', 'b', 'c')
  using chat = caller.chat({ tools, temperature: 0 })
  const { steps, finishReason, toolCalls } = await chat.run('?', { maxSteps: 3 })
  expect([steps.length, executed, finishReason, toolCalls.length]).toEqual([3, 6, 'tool-calls', 3])
  expect(steps.at(-1)?.toolResults).toEqual([])
  const more = await chat.send(
    toolCalls.map(({ id }) => ({ role: 'tool' as const, toolCallId: id, content: '' })),
  )
  expect(more.finishReason).toBe('tool-calls')
})

describe('a run that is stopped', () => {
  const reason = new Error('enough')

  /** Starts a run whose functions take forever, and waits until they are called. */
  function start(options: ChatRunOptions = {}) {
    const signals: AbortSignal[] = []
    const chat = caller.chat({ temperature: 0, messages: [{ role: 'user', content: 'Hi' }] })
    let begun: (() => void) | undefined
    const calling = new Promise<void>((resolve) => {
      begun = resolve
    })
    const execute = (args: unknown, context: ToolContext): Promise<never> => {
      signals.push(context.abortSignal)
      if (signals.length === 3) begun?.()
      return forever(args, context)
    }
    const run = chat.run('?', { tools: named(execute, 'a', 'b', 'c'), ...options })
    run.catch(() => {})
    return { chat, run, calling, signals }
  }

  test('stops its functions, and leaves the chat as it was', async () => {
    const controller = new AbortController()
    const { chat, run, calling, signals } = start({ signal: controller.signal })
    await calling
    expect(chat.messages).toHaveLength(3)
    controller.abort(reason)
    await expect(run).rejects.toMatchObject({
      code: 'ABORT_ERR',
      name: 'AbortError',
      cause: reason,
    })
    expect(signals.map((signal) => signal.reason as Error)).toEqual([reason, reason, reason])
    expect(chat.messages).toHaveLength(1)
    chat.dispose()
  })

  test("keeps what it has with onAbort: 'keep'", async () => {
    const controller = new AbortController()
    const { chat, run, calling } = start({ signal: controller.signal, onAbort: 'keep' })
    await calling
    controller.abort(reason)
    const { finishReason, steps } = await run
    expect([finishReason, steps.length]).toEqual(['aborted', 1])
    expect(steps[0]?.toolResults).toMatchObject([
      {},
      {},
      { content: 'Error: enough', error: reason },
    ])
    expect(chat.messages.map(({ role }) => role)).toEqual([
      'user',
      'user',
      'assistant',
      'tool',
      'tool',
      'tool',
    ])
    await expect(chat.send('And now?')).resolves.toBeDefined()
    chat.dispose()
  })

  test('does not start with a signal that is aborted already', async () => {
    const { chat, run, signals } = start({ signal: AbortSignal.abort(reason) })
    await expect(run).rejects.toMatchObject({ code: 'ABORT_ERR', cause: reason })
    expect([signals.length, chat.messages.length]).toEqual([0, 1])
    chat.dispose()
  })

  test.each(['reset', 'dispose', 'messages'] as const)('by %s rejects', async (how) => {
    const { chat, run, calling, signals } = start({ onAbort: 'keep' })
    await calling
    if (how === 'messages') chat.messages = []
    else chat[how]()
    if (how !== 'dispose') await expect(chat.send('Hi again')).resolves.toBeDefined()
    await run.catch(() => {})
    expect(signals.every((signal) => signal.aborted)).toBe(true)
    const expected = { reset: 3, dispose: 3, messages: 2 }
    expect(chat.messages).toHaveLength(expected[how])
    chat.dispose()
  })

  test('takes no other message meanwhile', async () => {
    const controller = new AbortController()
    const { chat, run, calling } = start({ signal: controller.signal })
    await calling
    const busy = { code: 'ERR_INVALID_STATE' }
    await expect(chat.send('Hi')).rejects.toMatchObject(busy)
    await expect(chat.run('Hi')).rejects.toMatchObject(busy)
    controller.abort()
    await expect(run).rejects.toMatchObject({ code: 'ABORT_ERR' })
    await expect(chat.send('Hi')).resolves.toBeDefined()
    chat.dispose()
  })
})

test('what onStep throws ends the run, which it may also delay', async () => {
  using chat = caller.chat({ temperature: 0, tools: named(() => 1, 'a', 'b', 'c') })
  const fault = new Error('stop here')
  const onStep = async ({ toolResults }: ChatStep): Promise<void> => {
    await sleep(1)
    if (toolResults.length > 0) throw fault
  }
  await expect(chat.run('?', { onStep })).rejects.toBe(fault)
  expect(chat.messages).toEqual([])
})

test.each<[string, object]>([
  ['maxSteps', { maxSteps: 0 }],
  ['maxSteps', { maxSteps: 1.5 }],
  ['toolTimeout', { toolTimeout: 'soon' }],
  ['onStep', { onStep: true }],
  ['steps', { steps: 1 }],
  ['tools[1].execute', { tools: [...named(() => 1, 'a'), { name: 'b' }] }],
  ['tools[0].execute', { tools: [{ name: 'b', execute: 1 }] }],
  ['toolChoice.name', { tools: named(() => 1, 'a'), toolChoice: { name: 'b' } }],
])('a bad %s is refused: %j', async (name, options) => {
  using chat = caller.chat()
  const error = await chat.run('?', options).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ details: { name } })
  expect(['ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE']).toContain((error as { code: string }).code)
  await expect(chat.send('Hi')).resolves.toBeDefined()
})
