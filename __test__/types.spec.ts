// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What TypeScript users may and may not write: checked by the compiler, run by nobody.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { loadModel, NodeMlxError, tool } from 'node-mlx'
import type {
  Chat,
  ChatRunResult,
  ErrorCode,
  Generation,
  GenerationChunk,
  GenerationResult,
  Message,
  Model,
  Tokenizer,
} from 'node-mlx'
import { expect, expectTypeOf, test } from 'vitest'
import * as z from 'zod'
import { root } from './helpers/models'

test('the types match this file', () => {
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '-p', '__test__']
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  expect(stdout).toBe('')
  expect(status).toBe(0)
})

export async function allowed(model: Model): Promise<void> {
  expectTypeOf(loadModel).returns.resolves.toEqualTypeOf<Model>()
  expectTypeOf(model.generate('hi')).toEqualTypeOf<Generation>()
  expectTypeOf(await model.generate('hi')).toEqualTypeOf<GenerationResult>()
  expectTypeOf(model.chat({ messages: [], temperature: 1 })).toEqualTypeOf<Chat>()
  expectTypeOf(model.chat().send('hi')).toEqualTypeOf<Generation>()
  expectTypeOf(model.tokenizer).toEqualTypeOf<Tokenizer>()
  for await (const chunk of model.generate('hi'))
    expectTypeOf(chunk).toEqualTypeOf<GenerationChunk>()
  await using _ = model

  const messages: Message[] = [
    { role: 'assistant', content: '', reasoning: 'hm', toolCalls: [{ name: 'a', arguments: {} }] },
    { role: 'tool', content: '', toolCallId: '1' },
    { role: 'user', content: [{ type: 'text', text: 'hi' }] },
    { role: 'assistant', content: null, toolCalls: [{ name: 'a', arguments: {} }] },
  ]
  const frozen: readonly Message[] = messages
  model.generate(frozen, { signal: undefined, maxTokens: undefined })
  model.generate([1, 2, 3] as const)
  model.generate('hi', { logitBias: { 1: -5 }, logprobs: true })
  model.generate('hi', { logitBias: new Map([[1, -5]]), logprobs: 3 })
  model.generate(new Uint32Array(1))
  model.generate('hi', { tools: [{ name: 'a', parameters: z.object({ b: z.string() }) }] })
  model.generate('hi', { tools: [{ name: 'a', inputSchema: { type: 'object' } }, { name: 'b' }] })
  model.generate('hi', { signal: AbortSignal.timeout(1000), onAbort: 'keep' })
  model.generate([{ role: 'developer', content: 'Be brief.' }])
  expectTypeOf(new Response(model.generate('hi').toReadableStream())).toEqualTypeOf<Response>()
  for await (const text of model.generate('hi').textStream) expectTypeOf(text).toBeString()
  expectTypeOf(NodeMlxError.from(new Error('any'))).toEqualTypeOf<NodeMlxError | undefined>()
  model.generate('hi').then(
    (result) => result.usage.promptTokens,
    () => 0,
  ) satisfies Promise<number>

  const schema = z.object({ a: z.number().transform(String) })
  const { object } = await model.generate('hi', { schema, maxTokens: 5 })
  expectTypeOf(object).toEqualTypeOf<{ a: string } | undefined>()
  expectTypeOf(model.chat().send('hi', { schema })).toEqualTypeOf<Generation<{ a: string }>>()
  expectTypeOf(model.generate('hi', { schema: { type: 'null' } })).toEqualTypeOf<Generation>()
  model.generate('hi', { regex: /a/u })
  model.generate('hi', { tools: [{ name: 'a' }], toolChoice: { name: 'a' }, strictTools: true })
  const typed = tool({
    name: 'a',
    inputSchema: z.object({ b: z.number().default(1) }),
    execute: ({ b }, { abortSignal }) => {
      expectTypeOf(b).toBeNumber()
      expectTypeOf(abortSignal).toEqualTypeOf<AbortSignal>()
      return b
    },
  })
  const run = await model.chat({ tools: [typed] }).run('hi', { schema, maxSteps: 3 })
  expectTypeOf(run).toEqualTypeOf<ChatRunResult<{ a: string }>>()
  expectTypeOf(run.steps[0]?.toolResults[0]?.content).toEqualTypeOf<string | undefined>()
  await model
    .chat()
    .run([{ role: 'user', content: 'hi' }], { tools: [{ name: 'a', execute: () => 1 }] })
  model.chat({ schema, grammar: 'start: "a"' })

  const error: Error = new NodeMlxError('ERR_INTERNAL', 'a bug')
  if (error instanceof NodeMlxError) expectTypeOf(error.code).toEqualTypeOf<ErrorCode>()
}

export function refused(model: Model, result: GenerationResult): void {
  // @ts-expect-error -- no such option
  model.generate('hi', { max_tokens: 5 })
  // @ts-expect-error -- of the wrong type
  model.generate('hi', { temperature: '1' })
  // @ts-expect-error -- ids are numbers
  model.generate('hi', { logitBias: { one: 1 } })
  // @ts-expect-error -- no such role
  model.generate([{ role: 'nobody', content: '' }])
  // @ts-expect-error -- only assistants call tools
  model.generate([{ role: 'user', content: '', toolCalls: [] }])
  // @ts-expect-error -- one or the other
  model.generate('hi', { onAbort: 'stop' })
  // @ts-expect-error -- no such choice
  model.generate('hi', { toolChoice: 'always' })
  // @ts-expect-error -- the schema says otherwise
  tool({ name: 'a', inputSchema: z.object({ b: z.number() }), execute: ({ b }) => b.length })
  // @ts-expect-error -- a tool has a name
  model.generate('hi', { tools: [{ description: 'Get the weather' }] })
  // @ts-expect-error -- an array
  model.generate('hi', { tools: { get_weather: { description: 'Get the weather' } } })
  // @ts-expect-error -- a chat has no raw prompts
  model.chat().send('hi', { raw: true })
  // @ts-expect-error -- a chat answers
  model.chat({ continueFinalMessage: true })
  // @ts-expect-error -- only assistants say nothing
  model.generate([{ role: 'user', content: null }])
  // @ts-expect-error -- read only
  model.chat().messages.push({ role: 'user', content: '' })
  // @ts-expect-error -- no prompt
  model.generate()
  // @ts-expect-error -- read only
  result.tokens.push(1)
  // @ts-expect-error -- no such device
  void loadModel('folder', { device: 'tpu' })
  // @ts-expect-error -- no such code
  new NodeMlxError('ERR_NONSENSE', '')
}
