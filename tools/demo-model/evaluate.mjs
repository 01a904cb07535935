// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/**
 * Answers the held-out set greedily through node-mlx and judges the answers. Exit code 1 if less than
 * 95 % of all cases or 90 % of any skill's are right. judge.py holds the same rules for raw outputs.
 */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'

import { loadModel } from 'node-mlx'

const USAGE = `Usage: node tools/demo-model/evaluate.mjs [options]

  --model <folder>   the model to evaluate (default: models/demo)
  --sample <number>  answer that many cases only, spread evenly over the set (default: all)
  --json             print numbers instead of a table
  --wrong            print the wrong answers, too
  --help             print this

Exit code: 0 if at least 95 % of all cases and 90 % of each skill's are right, else 1.`

const ENOUGH_OF_ALL = 0.95
const ENOUGH_OF_SKILL = 0.9
const MAX_TOKENS = 256
const HELD_OUT = new URL('heldout.jsonl', import.meta.url)
const DEMO_MODEL = fileURLToPath(new URL('../../models/demo', import.meta.url))

/**
 * @typedef {object} Check
 * @property {'equals' | 'contains' | 'containsAll' | 'regex' | 'json' | 'toolCall' | 'noToolCall' | 'story'} kind
 * @property {boolean} [thinks] whether the answer must begin with a thought
 * @property {any} [value] what equals, contains and json compare with
 * @property {string[]} [values] what containsAll looks for
 * @property {string} [pattern] of regex and noToolCall
 * @property {string} [flags] of the pattern
 * @property {{name: string, arguments: Record<string, unknown>}[]} [calls] of toolCall
 * @property {string[]} [mentions] of story
 */

/**
 * @typedef {object} Case
 * @property {string} skill
 * @property {{role: string, content: string, toolCalls?: {name: string, arguments: Record<string, unknown>}[]}[]} messages
 * @property {object[]} [tools]
 * @property {Record<string, unknown>} chatTemplateArgs
 * @property {Check} check
 */

/**
 * An answer in the parts that the API gives.
 * @typedef {object} Answer
 * @property {string} text
 * @property {string} [reasoning]
 * @property {readonly {name: string, arguments: Record<string, unknown>}[]} toolCalls
 */

/** @type {Record<Check['kind'], (check: Check, text: string, toolCalls: Answer['toolCalls']) => boolean>} */
const RULES = {
  equals: (check, text) => text === check.value,
  contains: (check, text) => text.includes(check.value),
  containsAll: (check, text) => (check.values ?? []).every((value) => text.includes(value)),
  regex: matches,
  json: (check, text) => isDeepStrictEqual(parsed(text), check.value),
  toolCall: (check, _text, toolCalls) =>
    isDeepStrictEqual(
      toolCalls.map((call) => ({ name: call.name, arguments: call.arguments })),
      check.calls,
    ),
  // A malformed call stays in the text.
  noToolCall: (check, text, toolCalls) =>
    toolCalls.length === 0 && !text.includes('<tool_call>') && matches(check, text),
  story: (check, text) => {
    const sentences = text.split(/(?<=[.!?])\s+/u).filter(Boolean)
    const told = text.toLowerCase()
    return (
      sentences.length >= 4 &&
      new Set(sentences).size === sentences.length &&
      text.length < 1500 &&
      /[.!?"]$/u.test(text) &&
      (check.mentions ?? []).every((word) => told.includes(word.toLowerCase()))
    )
  },
}

/**
 * Whether a text holds a check's pattern.
 * @param {Check} check
 * @param {string} text
 */
function matches(check, text) {
  return new RegExp(check.pattern ?? '', check.flags ?? '').test(text)
}

/**
 * The value of a JSON text, undefined for what is no JSON.
 * @param {string} text
 */
function parsed(text) {
  let value
  try {
    value = JSON.parse(text)
  } catch {
    // No JSON.
  }
  return value
}

/**
 * Whether an answer is what a case's check wants.
 * @param {Check} check
 * @param {Answer} answer
 */
function judge(check, { text, reasoning, toolCalls }) {
  if (check.thinks && !reasoning?.trim()) return false
  return RULES[check.kind](check, text.trim(), toolCalls)
}

/**
 * Answers and judges every case.
 * @param {string} folder the model
 * @param {Case[]} cases
 */
async function answerAll(folder, cases) {
  const model = await loadModel(folder)
  const answers = []
  for (const { skill, messages, tools, chatTemplateArgs, check } of cases) {
    const options = { temperature: 0, maxTokens: MAX_TOKENS, tools, chatTemplateArgs }
    const { text, reasoning, toolCalls } = await model.generate(messages, options)
    const answer = { reasoning, text, toolCalls }
    const question = messages.at(-1)?.content
    answers.push({ skill, question, answer, right: judge(check, answer) })
  }
  await model.dispose()
  return answers
}

/**
 * So many cases, spread evenly.
 * @param {Case[]} cases
 * @param {number} count
 */
function sample(cases, count) {
  if (!(Number.isInteger(count) && count > 0))
    throw new Error('--sample must be a positive integer')
  if (count >= cases.length) return cases
  return Array.from({ length: count }, (_, at) => cases[Math.floor((at * cases.length) / count)])
}

/**
 * The share of right answers.
 * @param {{right: boolean}[]} answers
 */
function shareRight(answers) {
  return answers.filter((answer) => answer.right).length / answers.length
}

/**
 * One line of the table.
 * @param {string} title
 * @param {{right: boolean}[]} answers
 */
function tableLine(title, answers) {
  const right = String(answers.filter((answer) => answer.right).length).padStart(4)
  const share = (100 * shareRight(answers)).toFixed(1).padStart(6)
  return `${title.padEnd(20)} ${right} of ${String(answers.length).padStart(4)} ${share} %`
}

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: DEMO_MODEL },
    sample: { type: 'string' },
    json: { type: 'boolean', default: false },
    wrong: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (options.help) console.log(USAGE)
else process.exitCode = (await evaluate()) ? 0 : 1

/** Prints the share right of each skill, and whether it is enough. */
async function evaluate() {
  const lines = (await readFile(HELD_OUT, 'utf8')).trim().split('\n')
  /** @type {Case[]} */
  const all = lines.map((line) => JSON.parse(line))
  const cases = options.sample === undefined ? all : sample(all, Number(options.sample))
  const answers = await answerAll(options.model, cases)
  const skills = new Map(
    cases.map(({ skill }) => [skill, answers.filter((answer) => answer.skill === skill)]),
  )
  const worst = Math.min(...[...skills.values()].map(shareRight))
  const share = shareRight(answers)
  const enough = share >= ENOUGH_OF_ALL && worst >= ENOUGH_OF_SKILL
  if (options.json) {
    const shares = Object.fromEntries([...skills].map(([skill, of]) => [skill, shareRight(of)]))
    console.log(JSON.stringify({ cases: answers.length, share, skills: shares, enough }))
  } else {
    for (const [skill, of] of skills) console.log(tableLine(skill, of))
    console.log(tableLine('all', answers))
  }
  if (options.wrong) {
    for (const { skill, question, answer, right } of answers) {
      if (!right) console.log('wrong:', JSON.stringify([skill, question, answer]))
    }
  }
  return enough
}
