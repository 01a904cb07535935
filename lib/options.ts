// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, NodeMlxError, outOfRange, textOf } from './errors'
import { MAX_ITEMS } from './limits'
import { didYouMean } from './suggest'

/** Throws if `value` is not valid for the option `name`. Returns a copy of what could change after that. */
type Check = (name: string, value: unknown) => unknown

/** A table of the options of one function. */
export type Table = Readonly<Record<string, Check>>

const INT32_MAX = 2 ** 31 - 1

interface Range {
  min: number
  max: number
}

function number({ min, max }: Range): Check {
  return (name, value) => {
    if (typeof value !== 'number')
      throw invalidArgument(name, `expected a number, got ${show(value)}`)
    if (!(Number.isFinite(value) && value >= min && value <= max)) {
      const range = Number.isFinite(max) ? `from ${min} to ${max}` : `>= ${min}`
      throw outOfRange(name, `expected a number ${range}, got ${value}`)
    }
  }
}

export function integer(range: Range): Check {
  const checkNumber = number(range)
  return (name, value) => {
    checkNumber(name, value)
    if (!Number.isInteger(value)) throw outOfRange(name, `expected an integer, got ${show(value)}`)
  }
}

function kind(expected: string, test: (value: unknown) => boolean): Check {
  return (name, value) => {
    if (!test(value)) throw invalidArgument(name, `expected ${expected}, got ${show(value)}`)
  }
}

function oneOf(...allowed: readonly (string | number)[]): Check {
  const expected = allowed.map(show).join(', ')
  return kind(`one of ${expected}`, (value) => allowed.includes(value as string | number))
}

function arrayOf(expected: string, test: (value: unknown) => boolean): Check {
  return (name, value) => {
    const copy = Array.isArray(value) ? toItems(name, value) : undefined
    if (copy === undefined || !copy.every(test))
      throw invalidArgument(name, `expected an array of ${expected}, got ${show(value)}`)
    return copy
  }
}

const boolean = kind('true or false', (value) => typeof value === 'boolean')
const pathOrId = kind(
  "a folder path or 'owner/name'",
  (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
)
const callback = kind('a function', (value) => typeof value === 'function')
const object = kind('an object', isRecord)
const text = kind(
  'a non-empty string',
  (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
)
/** A string whose value is never quoted in a message. */
const secret: Check = (name, value) => {
  if (typeof value !== 'string') throw invalidArgument(name, `expected a string`)
}
/** Checked where they are converted. */
const elsewhere: Check = () => {}
const tools: Check = (name, value) => (Array.isArray(value) ? toItems(name, value) : value)
const objects = arrayOf('objects', isRecord)
// Checked by shape: test runners give each file its own AbortSignal class.
const signal = kind('an AbortSignal', (value) => {
  const candidate = value as Partial<AbortSignal> | null
  const methods = [candidate?.addEventListener, candidate?.removeEventListener]
  return (
    typeof candidate?.aborted === 'boolean' &&
    methods.every((method) => typeof method === 'function')
  )
})

/** 0 disables the penalty, as in mlx-lm. */
const repetitionPenalty: Check = (name, value) => {
  if (value !== 0) number({ min: 0.01, max: 100 })(name, value)
}
// Far more than the logits of any model differ by, yet small enough for half precision.
const bias = number({ min: -100, max: 100 })
const contextSize = integer({ min: 0, max: INT32_MAX })

const reasoning: Check = (name, value) => {
  if (typeof value === 'boolean') return value
  if (!isRecord(value) || Object.keys(value).some((key) => key !== 'budget')) {
    throw invalidArgument(name, `expected true, false or { budget }, got ${show(value)}`)
  }
  const { budget } = value
  integer({ min: 0, max: INT32_MAX })(`${name}.budget`, budget)
  return { budget }
}

const toolChoice: Check = (name, value) => {
  if (isRecord(value) && Object.keys(value).every((key) => key === 'name')) {
    const { name: tool } = value
    text(`${name}.name`, tool)
    return { name: tool }
  }
  if (['auto', 'none', 'required'].includes(value as string)) return value
  throw invalidArgument(name, `expected 'auto', 'none', 'required' or { name }, got ${show(value)}`)
}

const speculative: Check = (name, value) => {
  if (value === 'prompt-lookup') return value
  if (!isRecord(value) || Object.keys(value).some((key) => key !== 'draft' && key !== 'tokens')) {
    throw invalidArgument(name, `expected 'prompt-lookup' or { draft, tokens }, got ${show(value)}`)
  }
  const { draft, tokens } = value
  kind('a model', isRecord)(`${name}.draft`, draft)
  if (tokens === undefined) return { draft }
  integer({ min: 1, max: 64 })(`${name}.tokens`, tokens)
  return { draft, tokens }
}

/** Flags that change what matches are not supported; `v` changes what a pattern means. */
const regex: Check = (name, value) => {
  if (Object.prototype.toString.call(value) !== '[object RegExp]') return text(name, value)
  const { flags, source } = value as RegExp
  if (!/^[dguy]*$/u.test(flags))
    throw invalidArgument(name, `the flags i, m, s and v are not supported, got '${flags}'`)
  return source
}

export const GENERATE_OPTIONS: Table = {
  maxTokens: integer({ min: 1, max: INT32_MAX }),
  temperature: number({ min: 0, max: Infinity }),
  topP: number({ min: 0, max: 1 }),
  topK: integer({ min: 0, max: INT32_MAX }),
  minP: number({ min: 0, max: 1 }),
  minTokensToKeep: integer({ min: 1, max: INT32_MAX }),
  xtcProbability: number({ min: 0, max: 1 }),
  xtcThreshold: number({ min: 0, max: 0.5 }),
  repetitionPenalty,
  repetitionContextSize: contextSize,
  presencePenalty: bias,
  presenceContextSize: contextSize,
  frequencyPenalty: bias,
  frequencyContextSize: contextSize,
  logitBias: kind('an object or a Map of token ids to numbers', isRecord),
  seed: integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  stop: arrayOf('non-empty strings', (value) => typeof value === 'string' && value !== ''),
  ignoreEos: boolean,
  logprobs: (name, value) => {
    if (typeof value !== 'boolean') integer({ min: 0, max: 20 })(name, value)
  },
  prefillStepSize: integer({ min: 1, max: INT32_MAX }),
  maxKvSize: integer({ min: 8, max: INT32_MAX }),
  kvBits: oneOf(2, 3, 4, 5, 6, 8),
  kvGroupSize: oneOf(32, 64, 128),
  quantizedKvStart: integer({ min: 0, max: INT32_MAX }),
  onPromptProgress: callback,
  tools,
  toolChoice,
  strictTools: boolean,
  reasoning,
  schema: kind('a JSON schema or a Standard Schema', isSchema),
  regex,
  grammar: text,
  documents: objects,
  chatTemplateArgs: object,
  sanitizeControlTokens: boolean,
  continueFinalMessage: boolean,
  raw: boolean,
  signal,
  onAbort: oneOf('throw', 'keep'),
  cache: oneOf('auto', 'none'),
  speculative,
}

const { raw: _, continueFinalMessage: __, ...sendOptions } = GENERATE_OPTIONS

export const SEND_OPTIONS: Table = sendOptions

export const RUN_OPTIONS: Table = {
  ...SEND_OPTIONS,
  maxSteps: integer({ min: 1, max: INT32_MAX }),
  toolTimeout: integer({ min: 1, max: INT32_MAX }),
  onStep: callback,
}

export const CHAT_OPTIONS: Table = { messages: objects, restore: text, ...SEND_OPTIONS }

export const DOWNLOAD_OPTIONS: Table = {
  revision: text,
  cacheDir: text,
  token: secret,
  endpoint: text,
  offline: boolean,
  onProgress: callback,
  signal,
}

export const LOAD_OPTIONS: Table = {
  adapter: pathOrId,
  device: oneOf('auto', 'gpu', 'cpu'),
  maxQueue: integer({ min: 1, max: INT32_MAX }),
  contextLength: integer({ min: 1, max: INT32_MAX }),
  ...DOWNLOAD_OPTIONS,
}

export const EMBEDDER_OPTIONS: Table = { pooling: oneOf('mean', 'last'), ...LOAD_OPTIONS }

export const EMBED_OPTIONS: Table = {
  dimensions: integer({ min: 1, max: INT32_MAX }),
  prompt: text,
  signal,
}

export const RANK_OPTIONS: Table = { instruction: text, signal }

const { maxQueue: ___, contextLength: ____, ...inspectOptions } = LOAD_OPTIONS

export const INSPECT_OPTIONS: Table = {
  context: integer({ min: 1, max: INT32_MAX }),
  ...inspectOptions,
}

export const HOST_OPTIONS: Table = {
  env: object,
  serviceName: text,
  maxRestarts: integer({ min: 0, max: INT32_MAX }),
  onExit: callback,
}

/** Milliseconds, or for ever. */
const milliseconds: Check = (name, value) => {
  if (value !== Infinity) number({ min: 0, max: Infinity })(name, value)
}

export const POOL_OPTIONS: Table = { load: object, idleTimeout: milliseconds }

export const HANDLER_OPTIONS: Table = {
  models: elsewhere,
  apiKey: secret,
  maxBodySize: integer({ min: 1, max: INT32_MAX }),
  timeout: milliseconds,
  ...POOL_OPTIONS,
}

export const SERVE_OPTIONS: Table = {
  host: text,
  port: integer({ min: 0, max: 65_535 }),
  ...HANDLER_OPTIONS,
}

export const ENCODE_OPTIONS: Table = { addSpecialTokens: boolean, splitSpecialTokens: boolean }

export const DECODE_OPTIONS: Table = { skipSpecialTokens: boolean }

export const CHAT_TEMPLATE_OPTIONS: Table = {
  tools,
  documents: objects,
  addGenerationPrompt: boolean,
  continueFinalMessage: boolean,
  chatTemplateArgs: object,
}

/**
 * Reads every option once, and checks it against its table. Returns them without those that are `undefined`, in an object
 * that inherits nothing: neither a getter nor a change of `Object.prototype` can make them other ones later.
 */
export function checkOptions<T extends object>(options: T, table: Table): Defined<T> {
  if (!isRecord(options))
    throw invalidArgument('options', `expected an object, got ${show(options)}`)
  const checked = Object.create(null) as Record<string, unknown>
  for (const [name, value] of entriesOf('options', options)) {
    const check = Object.hasOwn(table, name) ? table[name] : undefined
    if (check === undefined) {
      const known = Object.keys(table)
      throw invalidArgument(
        name,
        `unknown option; the options are ${known.join(', ')}${didYouMean(name, known)}`,
      )
    }
    if (value !== undefined) checked[name] = readable(name, () => check(name, value)) ?? value
  }
  return checked as Defined<T>
}

/** A name, or what makes it, for names that are long to make and only errors need. */
type Name = string | (() => string)

export function entriesOf(name: Name, value: object): [string, unknown][] {
  return readable(name, () => Object.entries(value))
}

/** Calls what reads a caller's object, whose getters and methods may throw anything. */
export function readable<T>(of: Name, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof NodeMlxError) throw cause
    const name = typeof of === 'string' ? of : of()
    const message = `${name}: cannot be read: ${textOf(cause)}`
    throw new NodeMlxError('ERR_INVALID_ARG_VALUE', message, { details: { name }, cause })
  }
}

/** Joins options; the later ones count. The object inherits nothing. */
export function joined<A extends object, B extends object>(first: A, second: B): A & B {
  return Object.assign(Object.create(null) as object, first, second)
}

/** Returns a copy of an object's own properties, each of which is read once. The copy inherits nothing. */
export function toOwn(name: string, value: object): Record<string, unknown> {
  return joined(Object.fromEntries(entriesOf(name, value)), {})
}

/** Returns a copy of an array, which may have holes, or be a proxy. */
export function toItems(of: Name, array: readonly unknown[]): unknown[] {
  const { length } = array
  if (length > MAX_ITEMS)
    throw invalidArgument(
      typeof of === 'string' ? of : of(),
      `has ${length} elements, more than the limit of ${MAX_ITEMS}`,
    )
  const items: unknown[] = []
  for (let index = 0; index < length; index += 1) items.push(array[index])
  return items
}

/** What timers take: they fire at once if the delay is longer than this. */
export function toDelay(delay: number): number {
  return Math.min(delay, INT32_MAX)
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

export function withoutUndefined<T extends object>(options: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}

/** Checks the path of a file. */
export const checkPath = text
/** Checks a number of bytes. */
export const checkBytes = integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
export const checkThreads = integer({ min: 1, max: 1024 })
export const checkBias = bias

/** By its tag: other realms have classes of their own, and `node:util/types` is missing in a browser. */
export function isUint32Array(value: unknown): value is Uint32Array {
  return Object.prototype.toString.call(value) === '[object Uint32Array]'
}

/** `Array.isArray` throws for a proxy that has been revoked. */
function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !isArray(value)
}

/** Whether a value is a schema; those of some libraries are functions. */
export function isSchema(value: unknown): boolean {
  return isRecord(value) || (typeof value === 'function' && '~standard' in value)
}

/** Formats a value for an error message: briefly, and never with the text of a prompt. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? 'a long string' : `'${value}'`
  if (value === null || ['number', 'boolean', 'undefined'].includes(typeof value))
    return String(value)
  return isArray(value) ? 'an array' : `a value of type ${typeof value}`
}
