// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Tiny models with random weights, one for each format of calls: the chat template names the tags, which are tokens.

import { makeModel, type Json } from './models'

/** The first of the fixture's tokens that are no bytes, and are never needed. */
const FIRST_MERGE = 256

interface Format {
  /** What the chat template writes calls with. */
  template: string
  /** The tags that are tokens. */
  tokens: readonly string[]
}

const ARGS = ['<arg_key>', '</arg_key>', '<arg_value>', '</arg_value>']
const LONGCAT = ['arg_key', 'arg_value'].flatMap((name) => [
  `<longcat_${name}>`,
  `</longcat_${name}>`,
])
const TOOL_CALL = ['<tool_call>', '</tool_call>']
const THINK = ['<think>', '</think>']
const KIMI = ['section_begin', 'section_end'].map((name) => `<|tool_calls_${name}|>`)
const KIMI_CALL = ['begin', 'argument_begin', 'end'].map((name) => `<|tool_call_${name}|>`)
const HARMONY = ['start', 'channel', 'constrain', 'message', 'end'].map((name) => `<|${name}|>`)

/** All formats that the parsers know, as the chat templates that their tests have write them. */
export const FORMATS: Readonly<Record<string, Format>> = {
  json_tools: { template: '<tool_call> tool_call.name', tokens: [...TOOL_CALL, ...THINK] },
  'json_tools, without tokens': { template: '<tool_call> tool_call.name', tokens: [] },
  qwen3_coder: { template: '<tool_call>\n<function=', tokens: [...TOOL_CALL, ...THINK] },
  'mistral, headed': { template: '[TOOL_CALLS] [ARGS]', tokens: ['[TOOL_CALLS]', '[ARGS]'] },
  'mistral, with ids': {
    template: '[TOOL_CALLS] [CALL_ID] [ARGS]',
    tokens: ['[TOOL_CALLS]', '[CALL_ID]', '[ARGS]'],
  },
  'mistral, a list': { template: '[TOOL_CALLS]', tokens: ['[TOOL_CALLS]'] },
  pythonic: {
    template: '<|tool_call_start|>',
    tokens: ['<|tool_call_start|>', '<|tool_call_end|>'],
  },
  function_gemma: {
    template: '<start_function_call>',
    tokens: ['<start_function_call>', '<end_function_call>', '<escape>'],
  },
  gemma4: {
    template: '<|tool_call> <tool_call|>',
    tokens: ['<|tool_call>', '<tool_call|>', '<|"|>', '<|channel>', '<channel|>'],
  },
  'glm47, in lines': {
    template: '<arg_key></arg_key>\n<arg_value>',
    tokens: [...TOOL_CALL, ...ARGS],
  },
  glm47: { template: '<arg_key></arg_key><arg_value>', tokens: [...TOOL_CALL, ...ARGS] },
  longcat: {
    template: '<longcat_tool_call>',
    tokens: ['<longcat_tool_call>', '</longcat_tool_call>', ...LONGCAT],
  },
  kimi_k2: { template: '<|tool_calls_section_begin|>', tokens: [...KIMI, ...KIMI_CALL] },
  minimax_m2: {
    template: '<minimax:tool_call>',
    tokens: ['<minimax:tool_call>', '</minimax:tool_call>', ...THINK],
  },
  minicpm5: {
    template: '<function name=" <param name="',
    tokens: ['<function', '</function>', '<param', '</param>'],
  },
  harmony: { template: '<|channel|> <|message|> <|call|>', tokens: HARMONY },
}

/** Ends the reasoning soon, where there is any: a model without any idea would go on forever. */
export function briefly({ tokens }: Format): { reasoning?: { budget: number } } {
  const reasons = ['<think>', '<|channel>', '<|channel|>'].some((token) => tokens.includes(token))
  return reasons ? { reasoning: { budget: 4 } } : {}
}

/** Makes the model of a format. */
export function makeModelOf({ template, tokens }: Format): string {
  return makeModel({
    config: { max_position_embeddings: 8192 },
    tokenizer: ({ model, added_tokens: added }) => {
      const { vocab } = model as { vocab: Record<string, number> }
      const names = Object.entries(vocab).filter(
        ([, id]) => id < FIRST_MERGE || id >= FIRST_MERGE + tokens.length,
      )
      const tags = tokens.map((content, index) => [content, FIRST_MERGE + index] as const)
      Object.assign(model as Json, { vocab: Object.fromEntries([...names, ...tags]), merges: [] })
      const [pattern] = added as Json[]
      ;(added as Json[]).unshift(
        ...tags.map(([content, id]) => Object.assign({}, pattern, { content, id })),
      )
    },
    // The fixture has its template in tokenizer_config.json.
    tokenizerConfig: { chat_template: undefined },
    files: { 'chat_template.jinja': `{# ${template} #}{{ messages[0].content }}` },
  })
}
