// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What mlx-lm, or transformers below it, tolerates in the folder of a model.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { makeModel } from './helpers/models'

describe('generation_config.json', () => {
  const NONE = { 'generation_config.json': '' }
  const eosTokenIds = async (own: unknown, eos_token_id: unknown = [5, 6]): Promise<number[]> => {
    const text = typeof own === 'string' ? own : JSON.stringify(own)
    const files = { 'generation_config.json': text }
    const config = { eos_token_id }
    await using model = await loadModel(makeModel({ config, files }))
    await using plain = await loadModel(makeModel({ config: { eos_token_id: -1 }, files: NONE }))
    const ofTokenizer = new Set(plain.tokenizer.eosTokenIds)
    return model.tokenizer.eosTokenIds.filter((id) => !ofTokenizer.has(id))
  }

  test('that cannot be read is ignored', async () => {
    for (const text of ['', '{"eos_token_id": 7', '[]'])
      expect(await eosTokenIds(text)).toEqual([5, 6])
  })

  test('adds end-of-sequence tokens to those of config.json', async () => {
    expect(await eosTokenIds({ eos_token_id: 7 })).toEqual([7, 5, 6])
    expect(await eosTokenIds({ eos_token_id: [7, 8, 6] })).toEqual([7, 8, 6, 5])
    for (const nothing of [null, [], 0]) {
      expect(await eosTokenIds({ eos_token_id: nothing })).toEqual([5, 6])
    }
  })

  test('may have impossible token ids', async () => {
    expect(await eosTokenIds({ eos_token_id: [-1, 7, 'x'] })).toEqual([7, 5, 6])
    expect(await eosTokenIds({}, -1)).toEqual([])
  })

  test('may have impossible sampling options', async () => {
    const own = { top_k: -1, top_p: 1.5, min_p: -0.1, temperature: '0.7', eos_token_id: 7 }
    expect(await eosTokenIds(own)).toEqual([7, 5, 6])
  })
})

test('the penalty of generation_config.json counts on the whole text', async () => {
  const files = { 'generation_config.json': JSON.stringify({ repetition_penalty: 1.8 }) }
  await using model = await loadModel(makeModel({ files }))
  const text = async (options: object): Promise<string> => {
    const run = model.generate('one two three one two three', { maxTokens: 24, ...options })
    return (await run).text
  }
  const own = await text({})
  expect(await text({ repetitionPenalty: 1.8, repetitionContextSize: 0 })).toBe(own)
  expect(await text({ repetitionPenalty: 1 })).not.toBe(own)
  expect(await text({ repetitionContextSize: 1 })).not.toBe(own)
})

describe('the chat template', () => {
  const LINES = '{{ messages[0].content }}\n!\n'

  test.each(['\r\n', '\r'])('may end its lines with %j', async (end) => {
    const text = LINES.replaceAll('\n', end)
    const models = [
      makeModel({ files: { 'chat_template.jinja': text } }),
      makeModel({ tokenizerConfig: { chat_template: text } }),
      makeModel({ tokenizerConfig: { chat_template: { default: text } } }),
    ]
    for (const folder of models) {
      await using model = await loadModel(folder)
      expect(model.tokenizer.chatTemplate).toBe(LINES)
    }
  })

  test('for tools may be in its own folder', async () => {
    const folder = makeModel({ tokenizerConfig: { chat_template: 'plain' } })
    mkdirSync(join(folder, 'additional_chat_templates'))
    writeFileSync(join(folder, 'additional_chat_templates/tool_use.jinja'), 'tools')
    await using model = await loadModel(folder)
    const messages = [{ role: 'user', content: 'a' }] as const
    const tool = { type: 'function', function: { name: 'f', parameters: {} } } as const
    expect(await model.tokenizer.applyChatTemplate(messages)).toBe('plain')
    expect(await model.tokenizer.applyChatTemplate(messages, { tools: [tool] })).toBe('tools')
  })
})
