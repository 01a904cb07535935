// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What errors say to somebody who is used to another API, or has another kind of model.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspectModel, loadModel, type Message, type Model } from 'node-mlx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { llama, makeModel, scratch } from './helpers/models'

let model: Model
beforeAll(async () => {
  model = await loadModel(llama)
})
afterAll(() => model.dispose())

describe('an unknown option is told from the one that was meant:', () => {
  test.each([
    ['max_tokens', 'maxTokens'],
    ['max_completion_tokens', 'maxTokens'],
    ['maxOutputTokens', 'maxTokens'],
    ['top_p', 'topP'],
    ['stop_sequences', 'stop'],
    ['stopSequences', 'stop'],
    ['abortSignal', 'signal'],
    ['tool_choice', 'toolChoice'],
    ['repeat_penalty', 'repetitionPenalty'],
    ['enable_thinking', 'reasoning'],
    ['temprature', 'temperature'],
    ['TopK', 'topK'],
  ])('%s, %s', async (name, meant) => {
    await expect(model.generate('hi', { [name]: 1 })).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringMatching(`^${name}: unknown option; .*; did you mean ${meant}\\?$`),
    })
  })

  test('or from none', async () => {
    for (const name of ['x', 'nonsense', 'constructor', '__proto__', 'n'.repeat(1e6)]) {
      const options = JSON.parse(`{ "${name}": 1 }`) as object
      await expect(model.generate('hi', options)).rejects.toThrow(/: unknown option; [^;?]*$/u)
    }
  })
})

describe('a message of another API is refused with', () => {
  test.each<[string, object, RegExp]>([
    ['toolCalls', { role: 'assistant', content: '', tool_calls: [] }, /\btoolCalls\?$/u],
    ['toolCallId', { role: 'tool', content: '', tool_call_id: '1' }, /\btoolCallId\?$/u],
    ['reasoning', { role: 'assistant', content: '', reasoning_content: '' }, /\breasoning\?$/u],
    ['the role', { role: 'asistant', content: '' }, /did you mean assistant\?$/u],
    ['an article', { role: 'assistant', content: '', x: 1 }, /those of an assistant message are/u],
    [
      'the kind of its arguments',
      { role: 'assistant', toolCalls: [{ name: 'f', arguments: '{}' }] },
      /the arguments are an object, not JSON$/u,
    ],
  ])('%s', async (_, message, expected) => {
    await expect(model.generate([message as Message])).rejects.toThrow(expected)
  })
})

test('a developer message is a system message', async () => {
  const render = (role: 'system' | 'developer') =>
    model.tokenizer.applyChatTemplate([
      { role, content: 'Be brief.' },
      { role: 'user', content: 'hi' },
    ])
  expect(await render('developer')).toBe(await render('system'))
  const chat = model.chat({ messages: [{ role: 'developer', content: 'Be brief.' }] })
  expect(chat.messages).toEqual([{ role: 'developer', content: 'Be brief.' }])
})

describe('a model that is none says why:', () => {
  test('a GGUF file, or a folder of them', async () => {
    const folder = join(scratch(), 'gguf')
    mkdirSync(folder)
    const file = join(folder, 'model-Q4_K_M.GGUF')
    writeFileSync(file, '')
    for (const path of [file, folder]) {
      const expected = {
        code: 'ERR_MODEL_NOT_FOUND',
        message: expect.stringMatching(/GGUF.*safetensors/u) as string,
        details: { path },
      }
      await expect(loadModel(path)).rejects.toMatchObject(expected)
      await expect(inspectModel(path)).rejects.toMatchObject(expected)
    }
    await expect(loadModel(join(folder, 'none.gguf'))).rejects.toThrow(/^no model folder at/u)
    await expect(loadModel('models/none.gguf')).rejects.toThrow(/^no model folder at/u)
    const beside = makeModel({ files: { 'model.gguf': '' } })
    await expect(inspectModel(beside)).resolves.toHaveProperty('modelType', 'llama')
  })

  test('a name without an owner', async () => {
    for (const name of ['qwen3', 'qwen3:8b'])
      await expect(loadModel(name)).rejects.toMatchObject({
        code: 'ERR_MODEL_NOT_FOUND',
        message: expect.stringContaining(`have an owner, as in 'owner/${name}'`) as string,
      })
    await expect(loadModel('./qwen3')).rejects.toThrow(/^no model folder at/u)
  })

  test('an id that may be a folder which does not exist', async () => {
    const offline = { offline: true, cacheDir: scratch() }
    const missing = { code: 'ERR_OFFLINE', message: expect.stringMatching(/no folder \.\/a\/b /u) }
    await expect(loadModel('a/b', offline)).rejects.toMatchObject(missing)
    await expect(inspectModel('a/b', offline)).rejects.toMatchObject(missing)
    const adapter = { ...offline, adapter: 'a/b' }
    await expect(loadModel(llama, adapter)).rejects.toMatchObject(missing)
  })

  test('an architecture that is not supported, with those that are in order', async () => {
    const folder = (type: string) => makeModel({ config: { model_type: type } })
    for (const load of [loadModel, inspectModel]) {
      const error = (await load(folder('qwen9')).catch((reason: unknown) => reason)) as Error
      const [, list = ''] = /; supported are (.*)$/u.exec(error.message) ?? []
      const supported = list.split(', ')
      expect(supported).toEqual(supported.toSorted())
      expect(supported.length).toBeGreaterThan(30)
      expect(error).toMatchObject({ code: 'ERR_MODEL_UNSUPPORTED', details: { supported } })
      expect(error.message).toMatch(/'qwen9' is not supported; the nearest that is: qwen\d;/u)
    }
    await expect(loadModel(folder('bert'))).rejects.toThrow(/'bert' is not supported; supported/u)
  })
})
