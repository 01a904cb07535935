// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, script } from '../../scripts/shared.mjs'
import { schemas } from './suite.mjs'
import { ACCEPTED, compare, formatted } from './table.mjs'
import { validator } from './validator.mjs'

const USAGE = `Usage: npm run schemas -- [options]

Holds the demo model to each schema of the public JSON Schema test suite, drafts 2020-12 and 7. One that is not refused
before the run is sampled at temperature 1.5; each answer must parse, and be valid for Ajv. An answer that maxTokens
cuts is counted. What is refused must be what docs/decisions/constrained-output.md lists.

  --runs <number>  of each schema; default: 20
  --match <text>   only schemas whose names contain it, and no comparison with the list
  --verbose        print each refusal
  --write          write the list
  --help           print this`

const MAX_TOKENS = 400

await script(async () => {
  const values = readArguments()
  if (values.help) {
    console.log(USAGE)
    return
  }
  prepare()
  const { loadModel } = await import('node-mlx')
  const model = await loadModel(join(root, 'models/demo'))
  const counts = { valid: 0, cut: 0 }
  const reasons = {}
  const failures = []
  for (const one of schemas().filter(({ name }) => name.includes(values.match ?? ''))) {
    const refusal = await refused(model, one.schema)
    if (values.verbose && refusal) console.log(`${one.name}: ${refusal.message}`)
    const row = (reasons[refusal ? reason(refusal) : ACCEPTED] ??= {})
    row[one.draft] = (row[one.draft] ?? 0) + 1
    const failure = refusal ? undefined : await sample(model, one, Number(values.runs), counts)
    if (failure) failures.push(`${one.name}: ${failure}`)
  }
  await model.dispose()
  const list = formatted(reasons)
  console.log(
    `${list}\n${counts.valid} valid answers, ${counts.cut} cut, ${failures.length} failures`,
  )
  if (failures.length > 0) throw new Failure(failures.join('\n'))
  if (values.match === undefined) compare(list, values.write)
})

function readArguments() {
  const flag = { type: 'boolean', default: false }
  const text = { type: 'string' }
  const options = {
    runs: { ...text, default: '20' },
    match: text,
    verbose: flag,
    write: flag,
    help: flag,
  }
  let values
  try {
    values = parseArgs({ options }).values
  } catch (error) {
    throw new Failure(error.message)
  }
  if (!(Number(values.runs) >= 1)) throw new Failure('--runs must be a number')
  return values
}

/** The error with which a schema is refused, which comes before anything is generated. */
async function refused(model, schema) {
  let started = false
  try {
    for await (const _ of model.generate('Hi', { schema, maxTokens: 1 })) started = true
  } catch (error) {
    const codes = ['ERR_GRAMMAR_UNSUPPORTED', 'ERR_INVALID_ARG_VALUE']
    if (!started && codes.includes(error.code)) return error
    throw error
  }
}

/** The keyword, with which the message begins where no place is known. */
function reason({ code, message, details }) {
  if (code === 'ERR_INVALID_ARG_VALUE') return 'true'
  return details.path?.split('/').at(-1) ?? message.replace(/^schema: /u, '').split(':')[0]
}

/** What is wrong with one of so many answers. */
async function sample(model, one, runs, counts) {
  const validate = validator(one)
  const { schema } = one
  for (let seed = 0; seed < runs; seed += 1) {
    const options = { schema, seed, temperature: 1.5, maxTokens: MAX_TOKENS }
    const { text, object, finishReason } = await model.generate('Give me a value.', options)
    if (finishReason === 'length') {
      counts.cut += 1
      continue
    }
    if (finishReason !== 'stop') return `ended with ${finishReason}`
    if (!validate(object))
      return `${text}: ${validate.errors.map(({ message }) => message).join(', ')}`
    counts.valid += 1
  }
}
