// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The endpoint of OpenAI's API, with clients that leave.

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadModel } from 'node-mlx'
import { serve } from 'node-mlx/server'
import { figure, generator, growth, settledResources } from './measure.mjs'

const addon = createRequire(import.meta.url)('../../index.js')
const llama = join(import.meta.dirname, '../fixtures/llama')

const MB = 2 ** 20
const AT_ONCE = 8
// A cancelled run may finish the step that is under way, and the one queued behind it.
const FEW_STEPS = 20
// Texts are tokenized on threads, as many at a time as there are requests.
const MAX_THREADS = 24
const BODIES = [
  ['chat/completions', { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 30 }],
  ['completions', { prompt: 'Hello', max_tokens: 30 }],
  ['responses', { input: 'Hello', max_output_tokens: 30 }],
]
const ENDS =
  /"finish_reason":"|"type":"response\.(?:completed|incomplete)"|"status":"(?:completed|incomplete)"/u

/** Requests, some at a time: streamed and whole; half of the clients leave at some time, the others must get an answer. */
export async function requests(count) {
  const model = await loadModel(llama)
  const server = await serve({ port: 0, models: { tiny: model } })
  const below = generator(1)
  let left = 0
  let unanswered = 0
  const askOne = async () => {
    const [path, body] = BODIES[below(BODIES.length)]
    const stream = below(2) === 0
    const signal = below(2) === 0 ? AbortSignal.timeout(1 + below(60)) : undefined
    const json = { model: 'tiny', seed: below(1000), temperature: 1, stream, ...body }
    try {
      const answer = await post(`${server.url}/${path}`, JSON.stringify(json), signal)
      if (!ENDS.test(answer)) unanswered += 1
    } catch {
      if (signal?.aborted) left += 1
      else unanswered += 1
    }
  }
  let half
  let end
  for (let done = 0; done < count; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, askOne))
    if (done % 40 !== 0) continue
    end = await settledResources()
    if (done <= count / 2) half = end
  }
  const steps = addon.engineSteps()
  await sleep(200)
  const late = addon.engineSteps() - steps
  await server.close()
  await model.dispose()
  return [
    figure('requests whose client left', left, ''),
    figure('others that were not answered', unanswered, '', 0),
    figure('steps after the last request', late, '', FEW_STEPS),
    figure('growth of resident memory, second half', (end.rss - half.rss) / MB, 'MB', 5),
    ...growth(half, end, MAX_THREADS),
  ]
}

/** By a connection of its own, which is closed then: connections that are kept would be counted. */
async function post(url, body, signal) {
  const headers = { 'content-type': 'application/json' }
  const request = httpRequest(url, { method: 'POST', agent: false, headers, signal })
  const answered = once(request, 'response')
  request.end(body)
  const [response] = await answered
  return text(response)
}
