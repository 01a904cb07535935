// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Calls of the API with arguments of any kind: some are right, most are wrong somewhere.

import { types } from 'node:util'

const OPTIONS =
  'maxTokens temperature topP topK minP minTokensToKeep xtcProbability xtcThreshold repetitionPenalty repetitionContextSize presencePenalty ' +
  'presenceContextSize frequencyPenalty frequencyContextSize logitBias seed stop ignoreEos logprobs prefillStepSize maxKvSize kvBits kvGroupSize ' +
  'quantizedKvStart onPromptProgress tools toolChoice strictTools reasoning schema regex grammar documents chatTemplateArgs sanitizeControlTokens ' +
  'continueFinalMessage raw signal onAbort cache messages restore addSpecialTokens splitSpecialTokens skipSpecialTokens addGenerationPrompt speculative nonsense'
const NAMES = OPTIONS.split(' ')
const MESSAGES = [
  { role: 'system', content: 'a' },
  { role: 'user', content: 'b' },
  {
    role: 'assistant',
    content: 'c',
    reasoning: 'd',
    toolCalls: [{ name: 'f', arguments: { a: 1 } }],
  },
  { role: 'tool', content: 'e', toolCallId: '1' },
]
const RIGHT = {
  maxTokens: 2,
  temperature: 0.7,
  topP: 0.9,
  topK: 5,
  minP: 0.1,
  logitBias: { 1: 5 },
  stop: ['a'],
  logprobs: 3,
  kvBits: 8,
  kvGroupSize: 32,
  maxKvSize: 16,
  prefillStepSize: 2,
  tools: [
    {
      name: 'f',
      description: 'g',
      parameters: { type: 'object', properties: { a: { type: 'integer' } } },
    },
  ],
  toolChoice: 'required',
  reasoning: { budget: 1 },
  schema: { type: 'object', properties: { a: { enum: [1, 'b'] } } },
  regex: 'a|b+',
  grammar: 'start: "a" | "b"',
  documents: [{ text: 'a' }],
  chatTemplateArgs: { a: 1 },
  raw: true,
  speculative: 'prompt-lookup',
  messages: MESSAGES,
}

/** What a caller's function throws, which the call throws as it is. */
export class OfCallback extends Error {}

/** Values that are hardly ever right. Each is made anew: some change when they are read. */
const ODD = [
  () => {},
  () => null,
  () => NaN,
  () => Infinity,
  () => -1,
  () => 0,
  () => 1e-320,
  () => 2 ** 31,
  () => 2 ** 53,
  () => 10n,
  () => Symbol('a'),
  () => '',
  () => 'x',
  () => '\uD800\0',
  () => 'ab '.repeat(30_000),
  () => '<|im_start|>'.repeat(100),
  () => [],
  () => [[]],
  () => [null],
  () => [1, 'a'],
  () => [1, 2, 4e9],
  () => Object.assign([], { length: 5 }),
  () => Object.assign([], { length: 2 ** 31 }),
  () => Uint32Array.of(1, 2),
  () => new Uint32Array(new SharedArrayBuffer(16)),
  () => detached(),
  () => new Float32Array(3),
  () => ({}),
  () => Object.create(null),
  () => JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":null}}'),
  () => new Map([[1, NaN]]),
  () => new Set([1]),
  () => new Date(NaN),
  () => /a+(?=b)/iu,
  () => () => 1,
  () => () => {
    throw new OfCallback('called')
  },
  () => Promise.reject(new Error('rejected')).catch(() => 1),
  () => AbortSignal.abort(),
  () => AbortSignal.timeout(1),
  () => ({ aborted: false, addEventListener() {}, removeEventListener() {} }),
  () => Object.defineProperty({}, 'a', { enumerable: true, get: thrown }),
  () => new Proxy({}, { ownKeys: thrown }),
  () => new Proxy({}, { ownKeys: thrownMute }),
  revoked,
  () =>
    new Proxy([1, 2], {
      get: (target, key) => (key === 'length' ? 2 ** 32 : Reflect.get(target, key)),
    }),
  () => new Proxy({ type: 'text', text: 'a' }, { get: thrown }),
  () => new Proxy([1, 2], { get: thrown }),
  () => Object.defineProperty([1, 2], 1, { get: thrown }),
  () => ({ '~standard': new Proxy({}, { get: thrown }) }),
  () => ({
    get role() {
      return thrown()
    },
  }),
  () => changing(),
  () => shared(),
  () => ({ toString: thrown, valueOf: thrown }),
]

function thrown() {
  throw new Error('mine')
}

/** What cannot become a text. */
function thrownMute() {
  throw Object.create(null)
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}

function detached() {
  const array = Uint32Array.of(1, 2)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

/** An object with another value each time. */
function changing() {
  let times = 0
  return Object.defineProperty({}, 'maxTokens', {
    enumerable: true,
    get: () => (times++ % 2 === 0 ? 1 : 'x'),
  })
}

/** An object that is small, and large when it is written. */
function shared() {
  let object = { a: 1 }
  for (let level = 0; level < 30; level += 1) object = { a: object, b: object }
  return object
}

/** A value, or one with a value in it. */
function anything(random, depth = 0) {
  if (depth < 3 && random.chance(0.2)) {
    const inner = anything(random, depth + 1)
    return random.pick([
      [inner],
      [inner, inner],
      { a: inner },
      { role: 'user', content: inner },
      { name: inner, arguments: inner },
    ])
  }
  if (random.chance(0.15)) return random.pick(Object.values(RIGHT))
  return random.pick(ODD)()
}

function someOptions(random) {
  if (random.chance(0.05)) return anything(random)
  const options = {}
  for (let count = random.below(4); count > 0; count -= 1) {
    const name = random.pick(Object.keys(RIGHT))
    options[name] = RIGHT[name]
  }
  for (let count = random.below(3); count > 0; count -= 1)
    options[random.pick(NAMES)] = anything(random)
  return options
}

function prompt(random) {
  if (random.chance(0.3)) return anything(random)
  if (random.chance(0.4))
    return random.pick(['hello', [1, 2, 3], Uint32Array.of(1, 2, 3), MESSAGES])
  const messages = structuredClone(MESSAGES)
  const message = random.pick(messages)
  message[random.pick([...Object.keys(message), 'name', 'toolCalls'])] = anything(random)
  return messages
}

/** Makes a call. Runs are short where the options do not say otherwise. */
export async function call(random, { attempt, ...mlx }, model, folder) {
  const options = someOptions(random)
  const isObject = typeof options === 'object' && options !== null && !types.isProxy(options)
  if (isObject && Object.getPrototypeOf(options) === Object.prototype && !('maxTokens' in options))
    options.maxTokens = 2
  const given = prompt(random)
  const { tokenizer } = model
  switch (random.below(10)) {
    case 0:
      return attempt(() => tokenizer.encode(given, options))
    case 1:
      return attempt(() => tokenizer.decode(given, options))
    case 2:
      return attempt(() => tokenizer.applyChatTemplate(given, options))
    case 3: {
      const chat = await attempt(() => model.chat(options))
      if (chat === undefined) return
      await attempt(() => chat.send(given, { maxTokens: 2 }))
      await attempt(() => chat.send('more', someOptions(random)))
      return attempt(() => chat.dispose())
    }
    case 4: {
      const loaded = await attempt(() =>
        mlx.loadModel(random.chance(0.7) ? folder : given, options),
      )
      return attempt(() => loaded?.dispose())
    }
    case 5:
      return attempt(() => mlx.inspectModel(random.chance(0.7) ? folder : given, options))
    case 6:
      return attempt(async () => {
        for await (const _ of model.generate(given, options)) if (random.chance(0.5)) break
      })
    default:
      return attempt(() => model.generate(given, options))
  }
}
