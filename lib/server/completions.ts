// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// POST /v1/completions

import { invalidArgument } from '../errors'
import { show } from '../options'
import { toPartEvents } from '../parts'
import type { Prompt, TokenLogprobs } from '../types'
import { readStreamOptions, toUsage } from './chat'
import type { Fields } from './fields'
import { Speller } from './logprobs'
import { SAMPLING_FIELDS, samplingOptions } from './options'
import {
  makeId,
  now,
  toEvent,
  toEventStream,
  whole,
  type Run,
  type StartRun,
  type Task,
} from './run'

export async function completions(body: Fields, startRun: StartRun): Promise<Response> {
  const isStream = body.boolean('stream') ?? false
  const hasUsage = readStreamOptions(body)
  const task = toTask(body)
  const run = await startRun(task)
  const head = { id: makeId('cmpl-'), object: 'text_completion', created: now(), model: task.model }
  const speller = new Speller(run.model)
  if (!isStream) return Response.json(await whole(run, toCompletion(run, head, speller)))
  return toEventStream(run, toChunks(run, head, speller, hasUsage))
}

function toTask(body: Fields): Task {
  const model = body.required('model', body.text('model'))
  const prompt = toPrompt(body.required('prompt', body.any('prompt')))
  const options = {
    // OpenAI's default is 16 tokens, which hardly anybody means.
    ...samplingOptions(body),
    maxTokens: body.any('max_tokens') as number | undefined,
    logprobs: body.any('logprobs') as number | undefined,
    raw: typeof prompt === 'string',
  }
  body.oneOf('n', [1])
  body.oneOf('best_of', [1])
  body.oneOf('echo', [false])
  body.ignore('user')
  body.end()
  const fields = { ...SAMPLING_FIELDS, maxTokens: 'max_tokens' }
  return { model, prompt, options: () => options, fields }
}

/** One prompt: a text, or token ids; also in an array of its own. */
function toPrompt(given: unknown): Prompt {
  const isNested = Array.isArray(given) && typeof given[0] !== 'number'
  if (isNested && given.length !== 1)
    throw invalidArgument('prompt', `expected one prompt, got ${given.length}`)
  const prompt: unknown = isNested ? given[0] : given
  if (typeof prompt !== 'string' && !(Array.isArray(prompt) && typeof prompt[0] === 'number'))
    throw invalidArgument('prompt', `expected a string or token ids, got ${show(prompt)}`)
  return prompt as Prompt
}

async function toCompletion(run: Run, head: object, speller: Speller): Promise<object> {
  const { text, logprobs, finishReason, usage } = await run.generation
  const spelled = logprobs === undefined ? null : await toLogprobs(speller, logprobs, 0)
  const choice = { text, index: 0, logprobs: spelled, finish_reason: finishReason }
  return { ...head, choices: [choice], usage: toUsage(usage) }
}

async function* toChunks(
  { generation }: Run,
  head: object,
  speller: Speller,
  hasUsage: boolean,
): AsyncGenerator<string, void> {
  const toChunk = (text: string, reason: string | null, logprobs: object | null): string => {
    const choice = { text, index: 0, logprobs, finish_reason: reason }
    return toEvent({ ...head, choices: [choice], ...(hasUsage && { usage: null }) })
  }
  for await (const event of toPartEvents(generation)) {
    if (event.type !== 'delta') continue
    const { delta, logprobs, part } = event
    const offset = part.text.length - delta.length
    const spelled = logprobs.length > 0 ? await toLogprobs(speller, logprobs, offset) : null
    yield toChunk(delta, null, spelled)
  }
  const { finishReason, usage } = await generation
  yield toChunk('', finishReason, null)
  if (hasUsage) yield toEvent({ ...head, choices: [], usage: toUsage(usage) })
  yield 'data: [DONE]\n\n'
}

/** `offset`: where in the answer the text of these tokens begins. */
async function toLogprobs(
  speller: Speller,
  logprobs: readonly TokenLogprobs[],
  offset: number,
): Promise<object> {
  const spelled = await speller.spell(logprobs)
  let end = offset
  return {
    tokens: spelled.map(({ token }) => token),
    token_logprobs: spelled.map(({ logprob }) => logprob),
    top_logprobs: spelled.map((each) => {
      return Object.fromEntries(each.top_logprobs.map(({ token, logprob }) => [token, logprob]))
    }),
    text_offset: spelled.map(({ token }) => {
      const start = end
      end += token.length
      return start
    }),
  }
}
