// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type { Generation } from '../generation'
import type { Model } from '../model'
import type { GenerateOptions, Prompt } from '../types'
import { renamed, toErrorBody } from './errors'
import type { FieldNames } from './options'

/** What a request asks of a model. */
export interface Task {
  /** The model's name. */
  model: string
  prompt: Prompt
  /** The options of the run, for the model that is then loaded. */
  options: (model: Model) => GenerateOptions
  /** The fields of the request that these options, and the prompt, come from. */
  fields: FieldNames
}

/** The run of a task, which has begun. */
export interface Run {
  model: Model
  generation: Generation
  fields: FieldNames
}

/** Starts a run, and waits until it has a first chunk or an error, with which this rejects. */
export type StartRun = (task: Task) => Promise<Run>

const HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' }

/** Answers with server-sent events. A client that leaves stops the run. */
export function toEventStream(
  { generation, fields }: Run,
  events: AsyncGenerator<string, void>,
  toErrorEvent = (error: unknown): string => toEvent(toErrorBody(error)),
): Response {
  const encoder = new TextEncoder()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { value, done } = await events.next()
        if (done) controller.close()
        else controller.enqueue(encoder.encode(value))
      } catch (error) {
        controller.enqueue(encoder.encode(toErrorEvent(renamed(error, fields))))
        controller.close()
      }
    },
    cancel() {
      generation.cancel()
    },
  })
  return new Response(body, { headers: HEADERS })
}

/** Waits for the whole answer. */
export async function whole<T>({ fields }: Run, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw renamed(error, fields)
  }
}

export function toEvent(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

/** An id like those of OpenAI's API. */
export function makeId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll('-', '')}`
}

/** The time in seconds. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
