// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run port-status`: which ported files want another look, now that an upstream has changed.

import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Failure, root, script } from '../scripts/shared.mjs'
import { baselineOf, readBaseline, writeBaseline } from './port-status/baseline.mjs'
import { compareAll } from './port-status/compare.mjs'
import { scan } from './port-status/headers.mjs'
import { report } from './port-status/report.mjs'
import { openClone, openSources } from './port-status/sources.mjs'

const USAGE = `Usage: npm run port-status -- [<upstream>] [options]

<upstream> is a git clone (bare or not) of mlx-lm or transformers, or a folder with their packages: site-packages, or an
unpacked wheel. What it is shows in what it holds.

Without <upstream>: lists the ported files, and what is wrong with their headers.
With it: what changed in each file's original.

  --rev <revision>   the revision of a clone to compare with (default: HEAD)
  --clone <folder>   for packages: the clone that has the versions the headers name; one for each upstream
  --diff             show the difference of each original (a package needs --clone)
  --json             the same for machines
  --write-baseline   write the checksums that packages are compared with where there is no clone;
                     needs the parity oracle's packages as <upstream>, and --clone where a header names a commit
  --baseline <file>  where those checksums are (default: tools/port-status/baseline.json)
  --root <folder>    the project to look at (default: this one)

Exit code: 0 nothing changed, 1 a header or an argument is wrong, 2 something changed.`

const OPTIONS = {
  rev: { type: 'string' },
  clone: { type: 'string', multiple: true, default: [] },
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
  const targets = positionals.length > 0 ? openSources(positionals[0], values.rev) : []
  const opened = values.clone.map((folder) => openClone(folder))
  const clones = Object.fromEntries(opened.map((clone) => [clone.upstream.name, clone]))
  checkCombination(values, targets)

  const { ported, problems } = scan(project)
  if (values['write-baseline']) {
    const count = writeBaseline({ path: baselinePath, project, ported, oracles: targets, clones })
    console.log(`${count} originals written to ${baselinePath}`)
    return
  }
  const baseline = readBaseline(baselinePath)
  const baselineFor = (upstream) => baselineOf(baseline, upstream)
  const result = compareAll({ ported, problems, targets, clones, baselineFor })
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
  if (parsed.positionals.length > 1) throw new Failure('give one upstream (see --help)')
  return parsed
}

function checkCombination({ rev, clone, diff, 'write-baseline': write }, targets) {
  const given = Object.entries({ rev, clone: clone.length > 0, diff, 'write-baseline': write })
  const refuse = (names, why) => {
    const name = given.find(([option, value]) => value && names.includes(option))?.[0]
    if (name !== undefined) throw new Failure(`--${name} ${why}`)
  }
  if (targets.length === 0)
    refuse(
      ['rev', 'clone', 'diff', 'write-baseline'],
      'needs an upstream to compare with (see --help)',
    )
  else if (targets[0].kind === 'clone')
    refuse(['clone', 'write-baseline'], 'goes with a package, and this is a clone')
  else if (clone.length === 0) refuse(['diff'], 'of a package needs --clone')
}

function withoutTexts(result, keep) {
  if (keep) return result
  return { ...result, originals: result.originals.map(({ diff: _, ...original }) => original) }
}

function exitCode({ problems, originals }) {
  if (problems.length > 0) return 1
  return originals.some(({ changed }) => changed) ? 2 : 0
}
