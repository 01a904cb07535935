// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The list of refused schemas in docs/decisions/constrained-output.md.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, root } from '../../scripts/shared.mjs'

export const ACCEPTED = 'accepted'

const PAGE = join(root, 'docs/decisions/constrained-output.md')
const DRAFTS = ['draft2020-12', 'draft7']
const HEAD = ['| keyword | 2020-12 | draft 7 | why |', '| --- | ---: | ---: | --- |']
/** Where it is not that llguidance lacks the keyword. */
const WHY = {
  $ref: 'to another document, a dynamic anchor, or the schema of schemas',
  'Unsatisfiable schema': 'no value is valid',
  [ACCEPTED]: 'held',
  format: 'not one of the ten that llguidance has',
  'minimum, maximum': 'a number of more than 64 bits',
  multipleOf: 'a number of more than 32 bits',
  oneOf: 'its schemas cannot be told apart',
  patternProperties: 'two patterns match the same name',
  propertyNames: 'neither a pattern nor an `enum` alone',
  true: '`true` and `false` are no schemas for an answer',
}

/** `reasons`: how many schemas of each draft were refused for a keyword, or accepted. */
export function formatted(reasons) {
  const { [ACCEPTED]: accepted, ...refused } = reasons
  const rows = [
    ...Object.entries(refused).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    [ACCEPTED, accepted],
  ]
  const lines = rows.map(([keyword, counts]) => {
    const name = /^[\w$]+$/u.test(keyword) && keyword !== ACCEPTED ? `\`${keyword}\`` : keyword
    const numbers = DRAFTS.map((draft) => counts?.[draft] ?? 0)
    return `| ${[name, ...numbers, WHY[keyword] ?? 'llguidance lacks it'].join(' | ')} |`
  })
  return [...HEAD, ...lines].join('\n')
}

/** Compares the list with the page's, or puts it there. */
export function compare(list, write) {
  const page = readFileSync(PAGE, 'utf8')
  const start = page.indexOf(HEAD[0])
  const end = page.indexOf('\n\n', start)
  if (start === -1) throw new Failure(`${PAGE} has no line ${HEAD[0]}`)
  if (write) writeFileSync(PAGE, page.slice(0, start) + list + page.slice(end))
  else if (page.slice(start, end) !== list) {
    throw new Failure(
      'what is refused has changed: look at it, and run `npm run schemas -- --write`',
    )
  }
}
