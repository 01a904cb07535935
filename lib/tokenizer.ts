// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { invalidArgument, settle } from './errors'
import { toJson } from './json'
import { toTemplateMessages } from './messages'
import { checkLength, roomFor } from './length'
import type { NativeModel, NativeModelInfo } from './native'
import {
  CHAT_TEMPLATE_OPTIONS,
  checkOptions,
  DECODE_OPTIONS,
  ENCODE_OPTIONS,
  show,
} from './options'
import { INSPECT } from './symbols'
import { checkTokenIds } from './token-ids'
import { toTemplateTools } from './tools'
import type { ChatTemplateOptions, DecodeOptions, EncodeOptions, Message } from './types'

/** A model's tokenizer and chat template. All methods run off the main thread. */
export class Tokenizer {
  /** The beginning-of-sequence token, if the model has one. */
  readonly bosToken: string | undefined
  /** Ids of the end-of-sequence tokens. */
  readonly eosTokenIds: readonly number[]
  readonly #chatTemplate: string | undefined
  readonly #use: () => NativeModel
  readonly #info: NativeModelInfo

  /** @internal Created by `loadModel`. */
  constructor(use: () => NativeModel, info: NativeModelInfo) {
    const { chatTemplate, bosToken, eosTokenIds } = use().specialTokens()
    this.#chatTemplate = chatTemplate
    this.bosToken = bosToken
    this.eosTokenIds = eosTokenIds
    this.#use = use
    this.#info = info
  }

  /** The chat template's source, if the model has one. */
  get chatTemplate(): string | undefined {
    return this.#chatTemplate
  }

  /**
   * Encodes text to token ids. The spelling of a special token in the text is encoded as that token, as in mlx-lm,
   * unless `splitSpecialTokens` is set.
   * @throws ERR_TOKENIZE_FAILED, or ERR_CONTEXT_OVERFLOW if the text is far too long for the model
   */
  async encode(text: string, options: EncodeOptions = {}): Promise<number[]> {
    if (typeof text !== 'string')
      throw invalidArgument('text', `expected a string, got ${show(text)}`)
    const { addSpecialTokens = true, splitSpecialTokens } = checkOptions(options, ENCODE_OPTIONS)
    checkLength(text.length, this.#info.contextLength)
    const encode = () =>
      this.#use().encode(text.toWellFormed(), addSpecialTokens, splitSpecialTokens)
    return Array.from(await settle(encode))
  }

  /**
   * Decodes token ids to text.
   * @throws ERR_OUT_OF_RANGE for an id outside the model's vocabulary, or if the text could be far too long
   */
  async decode(ids: readonly number[] | Uint32Array, options: DecodeOptions = {}): Promise<string> {
    const { skipSpecialTokens = false } = checkOptions(options, DECODE_OPTIONS)
    const checked = checkTokenIds('ids', ids, this.#info.vocabSize)
    return settle(() => this.#use().decode(checked, skipSpecialTokens))
  }

  /**
   * Renders a conversation with the model's chat template.
   * @throws ERR_CHAT_TEMPLATE with the template's message, or ERR_CHAT_TEMPLATE_LIMIT
   */
  async applyChatTemplate(
    messages: readonly Message[],
    options: ChatTemplateOptions = {},
  ): Promise<string> {
    const { tools, ...others } = checkOptions(options, CHAT_TEMPLATE_OPTIONS)
    const room = roomFor(this.#info)
    const json = toJson('messages', toTemplateMessages(messages), room)
    const all = { ...others, ...(tools !== undefined && { tools: toTemplateTools(tools) }) }
    const rest = toJson('', all, room)
    return settle(() => this.#use().applyChatTemplate(json, rest))
  }

  /** @internal */
  [INSPECT](): string {
    const template = this.#chatTemplate === undefined ? 'no chat template' : 'chat template'
    return `Tokenizer (${this.#info.vocabSize} tokens, ${template})`
  }
}
