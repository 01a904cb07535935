// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  LanguageModelV4Usage,
  SharedV4Warning,
} from '@ai-sdk/provider' with { 'resolution-mode': 'import' }
import { toEffortOptions } from '../effort'
import type { Generation } from '../generation'
import type { Model } from '../model'
import { toPartEvents, type Part, type PartEvent } from '../parts'
import type { GenerationResult, Usage } from '../types'
import { toCall, withoutRefused, type MlxSettings } from './options'
import { PooledModel } from './pooled-model'
import { toMessages } from './prompt'

type FinishReason = LanguageModelV4GenerateResult['finishReason']

/** A model for the AI SDK. */
export class MlxLanguageModel extends PooledModel<Model, MlxSettings> implements LanguageModelV4 {
  /** Nothing is fetched: models read text only. */
  readonly supportedUrls = {}

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const { generation, warnings } = await this.#start(options)
    const content: LanguageModelV4Content[] = []
    for await (const { type, part } of toPartEvents(generation)) {
      if (type === 'end' && part.isWhole) content.push(toContent(part))
    }
    const result = await generation
    return {
      content,
      finishReason: toFinishReason(result),
      usage: toUsage(result.usage),
      response: { modelId: this.modelId, timestamp: new Date() },
      warnings,
    }
  }

  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    const { generation, warnings } = await this.#start(options)
    const { modelId } = this
    const parts = toStreamParts(generation, modelId, warnings)
    const stream = new ReadableStream<LanguageModelV4StreamPart>({
      async pull(controller) {
        const { value, done } = await parts.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel() {
        generation.cancel()
      },
    })
    return { stream }
  }

  /** Starts a run; without the options that the model refuses, if the AI SDK's caller can be warned instead. */
  async #start(
    options: LanguageModelV4CallOptions,
  ): Promise<{ generation: Generation; warnings: SharedV4Warning[] }> {
    const messages = toMessages(options.prompt)
    let call = toCall(options, this.settings)
    for (;;) {
      const { options: given, effort, warnings } = call
      const start = (model: Model): Generation => {
        const effortOptions = toEffortOptions(effort, model, given.chatTemplateArgs)
        return model.generate(messages, { ...given, ...effortOptions })
      }
      try {
        const { generation } = await this.pool.run(this.target, start, options.abortSignal)
        return { generation, warnings }
      } catch (error) {
        const without = withoutRefused(call, error)
        if (without === undefined) throw error
        call = without
      }
    }
  }
}

async function* toStreamParts(
  generation: Generation,
  modelId: string,
  warnings: SharedV4Warning[],
): AsyncGenerator<LanguageModelV4StreamPart, void> {
  yield { type: 'stream-start', warnings }
  yield { type: 'response-metadata', modelId, timestamp: new Date() }
  for await (const event of toPartEvents(generation)) yield* toPartStream(event)
  const result = await generation
  yield { type: 'finish', usage: toUsage(result.usage), finishReason: toFinishReason(result) }
}

function* toPartStream(event: PartEvent): Generator<LanguageModelV4StreamPart, void> {
  const { type, part } = event
  if (part.type !== 'tool-call') {
    const id = String(part.index)
    if (type === 'delta') yield { type: `${part.type}-delta`, id, delta: event.delta }
    else yield { type: `${part.type}-${type}`, id }
    return
  }
  const { id, name: toolName } = part
  if (type === 'start') yield { type: 'tool-input-start', id, toolName }
  if (type === 'delta') yield { type: 'tool-input-delta', id, delta: event.delta }
  if (type !== 'end') return
  yield { type: 'tool-input-end', id }
  if (part.isWhole) yield { type: 'tool-call', toolCallId: id, toolName, input: part.text }
}

function toContent({ type, text, id, name }: Part): LanguageModelV4Content {
  if (type === 'tool-call') return { type, toolCallId: id, toolName: name, input: text }
  return { type, text }
}

function toFinishReason({ finishReason }: GenerationResult): FinishReason {
  return { unified: finishReason === 'aborted' ? 'other' : finishReason, raw: finishReason }
}

function toUsage(usage: Usage): LanguageModelV4Usage {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: completionTokens,
      text: completionTokens - reasoningTokens,
      reasoning: reasoningTokens,
    },
    raw: { ...usage },
  }
}
