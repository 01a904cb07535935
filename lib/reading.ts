// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Texts that are read for numbers.

import { abortError, fromNative, invalidArgument, NodeMlxError, settle } from './errors'
import { checkLength } from './length'
import type { LocalModel, NativeReadout } from './native'
import { readable, show, toItems } from './options'
import { onAbort } from './signals'

/** Checks a text that has to say something. */
export function checkText(name: string, text: unknown): asserts text is string {
  if (typeof text !== 'string')
    throw invalidArgument(name, `expected a non-empty string, got ${show(text)}`)
  if (text === '' || text.includes('\0'))
    throw invalidArgument(name, text === '' ? 'must not be empty' : 'holds a NUL character')
}

/** Checks texts. Returns a copy: an array may be a proxy. */
export function toTexts(name: string, texts: unknown): readonly string[] {
  const copy = readable(name, () => {
    if (!Array.isArray(texts))
      throw invalidArgument(name, `expected an array of strings, got ${show(texts)}`)
    return toItems(name, texts)
  })
  copy.forEach((text, index) => checkText(`${name}[${index}]`, text))
  return copy as string[]
}

/** How texts become tokens. */
export interface Encoding {
  /** The name of the array of texts, for errors. */
  name: string
  /** Whether the tokens come that the tokenizer puts around every text. */
  addSpecialTokens: boolean
  /** Tokens that are put before and behind the text. */
  around?: readonly [readonly number[], readonly number[]]
  /** Number of tokens that each may have. */
  limit: number
  signal: AbortSignal | undefined
}

/**
 * Encodes texts, one after the other.
 * @throws ERR_CONTEXT_OVERFLOW or ERR_TOKENIZE_FAILED, naming the text
 */
export async function encodeTexts(
  native: LocalModel,
  texts: readonly string[],
  { name, addSpecialTokens, around: [before, behind] = [[], []], limit, signal }: Encoding,
): Promise<Uint32Array[]> {
  const encoded: Uint32Array[] = []
  for (const [index, text] of texts.entries()) {
    if (signal?.aborted) throw abortError(signal.reason)
    try {
      checkLength(text.length, limit)
      const ids = await settle(() => native.encode(text.toWellFormed(), addSpecialTokens))
      const all = Uint32Array.from([...before, ...ids, ...behind])
      checkTokens(all.length, limit)
      encoded.push(all)
    } catch (error) {
      throw named(`${name}[${index}]`, index, error)
    }
  }
  return encoded
}

/** Reads texts, given by their tokens, one after the other. */
export async function readTexts(
  native: LocalModel,
  texts: Uint32Array[],
  readout: NativeReadout,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  if (signal?.aborted) throw abortError(signal.reason)
  try {
    const reading = native.read(texts, readout)
    const forgetSignal = onAbort(signal, () => reading.cancel())
    try {
      return await reading.result()
    } finally {
      forgetSignal()
    }
  } catch (error) {
    throw fromNative(error, signal)
  }
}

function checkTokens(tokens: number, limit: number): void {
  if (tokens === 0) throw new NodeMlxError('ERR_INVALID_ARG_VALUE', 'has no tokens')
  if (tokens <= limit) return
  throw new NodeMlxError(
    'ERR_CONTEXT_OVERFLOW',
    `${tokens} tokens, but the context length is ${limit}`,
    { details: { promptTokens: tokens, limit } },
  )
}

/** The error of one of several texts. */
function named(name: string, index: number, error: unknown): unknown {
  if (!(error instanceof NodeMlxError)) return error
  const { code, message, details, cause } = error
  if (code === 'ERR_MODEL_DISPOSED') return error
  return new NodeMlxError(code, `${name}: ${message}`, {
    details: { ...details, name, index },
    cause,
  })
}
