// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run port-status`: which ported files want another look, now that mlx-lm has changed.

import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Failure, root, script } from '../scripts/shared.mjs'
import { readBaseline, writeBaseline } from './port-status/baseline.mjs'
import { compare } from './port-status/compare.mjs'
import { scan } from './port-status/headers.mjs'
import { openClone, openMlxLm } from './port-status/mlx-lm.mjs'
import { report } from './port-status/report.mjs'

const USAGE = `Usage: npm run port-status -- [<mlx-lm>] [options]

Without <mlx-lm>: lists the ported files, and what is wrong with their headers.
With it, a git clone (bare or not) or an installed or unpacked package: what changed in each file's original.

  --rev <revision>   the revision of a clone to compare with (default: HEAD)
  --clone <folder>   for a package: the clone that has the versions the headers name
  --diff             show the difference of each original (a package needs --clone)
  --json             the same for machines
  --write-baseline   write the checksums that packages are compared with where there is no clone;
                     needs the parity oracle's package as <mlx-lm>, and --clone
  --baseline <file>  where those checksums are (default: tools/port-status/baseline.json)
  --root <folder>    the project to look at (default: this one)

Exit code: 0 nothing changed, 1 a header or an argument is wrong, 2 something changed.`

const OPTIONS = {
  rev: { type: 'string' },
  clone: { type: 'string' },
  diff: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  'write-baseline': { type: 'boolean', default: false },
  baseline: { type: 'string' },
  root: { type: 'string', default: root },
  help: { type: 'boolean', short: 'h', default: false },
}

await script(() => {
  const { values, positionals } = readArguments()
  if (values.help) {
    console.log(USAGE)
    return
  }
  const project = resolve(values.root)
  const baselinePath = values.baseline ?? join(project, 'tools/port-status/baseline.json')
  const target = positionals.length > 0 ? openMlxLm(positionals[0], values.rev) : undefined
  const clone = values.clone === undefined ? undefined : openClone(values.clone)
  checkCombination(values, target)

  const { ported, problems } = scan(project)
  if (values['write-baseline']) {
    const count = writeBaseline({ path: baselinePath, project, ported, oracle: target, clone })
    console.log(`${count} originals written to ${baselinePath}`)
    return
  }
  const result = compare({ ported, problems, target, clone, baseline: readBaseline(baselinePath) })
  if (values.json) console.log(JSON.stringify(withoutTexts(result, values.diff), undefined, 2))
  else console.log(report(result, { diff: values.diff }))
  process.exitCode = exitCode(result)
})

function readArguments() {
  let parsed
  try {
    parsed = parseArgs({ options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw new Failure(error.message)
  }
  if (parsed.positionals.length > 1) throw new Failure('give one mlx-lm (see --help)')
  return parsed
}

function checkCombination(values, target) {
  if (target === undefined) {
    for (const name of ['rev', 'clone', 'diff', 'write-baseline'])
      if (values[name]) throw new Failure(`--${name} needs an mlx-lm to compare with (see --help)`)
  } else if (target.kind === 'clone') {
    for (const name of ['clone', 'write-baseline'])
      if (values[name]) throw new Failure(`--${name} goes with a package, and this is a clone`)
  } else if (!values.clone) {
    for (const name of ['diff', 'write-baseline'])
      if (values[name]) throw new Failure(`--${name} of a package needs --clone`)
  }
}

function withoutTexts(result, keep) {
  if (keep) return result
  return { ...result, originals: result.originals.map(({ diff: _, ...original }) => original) }
}

function exitCode({ problems, originals }) {
  if (problems.length > 0) return 1
  return originals.some(({ changed }) => changed) ? 2 : 0
}
