// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The headers of ported files: where each comes from, and which version of that was ported.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { Failure } from '../../scripts/shared.mjs'

/** A header lies within this many lines. */
const LINES = 10

/** Here everything is ported, except what is named below and unit tests. */
const MODELS = 'src/models/'
const NOT_PORTED = new Set(['src/models/config.rs', 'src/models/generation_config.rs'])

const ORIGINAL = /^\/\/ Original: (?<path>mlx_lm\/(?:\w[\w.-]*\/)*\w[\w.-]*\.py)$/u
const GIT_HASH = /^\/\/ Git Hash: (?<hash>[0-9a-f]{40}) \((?<date>\d{4}-\d{2}-\d{2})\)$/u
const FOLLOWS = /^\/\/ Follows mlx-lm (?<version>\d+\.\d+\S*) where it differs: (?<what>\S.*)$/u
const CONTINUED = /^\/\/ (?<text>\S.*)$/u

/** What a header's lines begin with, in whatever spelling. */
const HEADER = /^\s*\/\/[!/]?\s*(?:ported from mlx-lm|original\s*:|git\s*hash\s*:|follows mlx-lm)/iu
/** Those of them that nobody would write elsewhere in a file. */
const UNMISTAKABLE = /^\s*\/\/[!/]?\s*(?:original\s*:|git\s*hash\s*:)/iu

/** All ported files, one entry for each original of each, and what is wrong with headers. */
export function scan(project) {
  const ported = []
  const problems = []
  for (const file of rustFiles(project)) {
    const { entries = [], message } = parse(file, readFileSync(join(project, file), 'utf8'))
    if (message === undefined) ported.push(...entries)
    else problems.push({ file, message })
  }
  return { ported, problems }
}

function rustFiles(project) {
  let names
  try {
    names = readdirSync(join(project, 'src'), { recursive: true })
  } catch (error) {
    throw new Failure(`${project} is no project of ours: ${error.message}`)
  }
  return names
    .filter((name) => name.endsWith('.rs'))
    .map((name) => `src/${name.replaceAll(sep, '/')}`)
    .toSorted()
}

function parse(file, text) {
  const lines = text.split(/\r?\n/u)
  const head = lines.slice(0, LINES)
  if (lines.slice(LINES).some((line) => UNMISTAKABLE.test(line)))
    return { message: `a header lies within the first ${LINES} lines` }

  const started = head.filter((line) => HEADER.test(line))
  if (started.length === 0) return mustBePorted(file) ? { message: missing() } : {}

  const originals = head.flatMap((line) => ORIGINAL.exec(line)?.groups?.path ?? [])
  const hashes = head.flatMap((line) => GIT_HASH.exec(line)?.groups ?? [])
  const wrong = started.find(isMalformed)
  if (wrong !== undefined) return { message: `malformed: ${wrong.trim()}` }
  if (originals.length === 0) return { message: 'no line "// Original: mlx_lm/<path>.py"' }
  if (new Set(originals).size < originals.length) return { message: 'names an original twice' }
  if (hashes.length !== 1)
    return { message: 'not one line "// Git Hash: <40 hex digits> (<YYYY-MM-DD>)"' }
  const [{ hash: gitHash, date }] = hashes
  if (!isDate(date)) return { message: `no such date: ${date}` }
  const follows = findFollows(head)
  return { entries: originals.map((original) => ({ file, original, gitHash, date, follows })) }
}

function mustBePorted(file) {
  return file.startsWith(MODELS) && !NOT_PORTED.has(file) && basename(file) !== 'tests.rs'
}

function missing() {
  return 'has no header; a file that is no port is named in tools/port-status/headers.mjs'
}

function isMalformed(line) {
  return !(
    line.startsWith('// Ported from mlx-lm') ||
    [ORIGINAL, GIT_HASH, FOLLOWS].some((pattern) => pattern.test(line))
  )
}

function isDate(text) {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.valueOf()) && date.toISOString().startsWith(text)
}

/** `Follows mlx-lm <version> where it differs: <what>`, with the lines that go on with it. */
function findFollows(head) {
  const at = head.findIndex((line) => FOLLOWS.test(line))
  if (at === -1) return null
  const { version, what } = FOLLOWS.exec(head[at]).groups
  const rest = head.slice(at + 1)
  const end = rest.findIndex((line) => HEADER.test(line) || !CONTINUED.test(line))
  const more = rest.slice(0, end === -1 ? rest.length : end)
  return { version, what: [what, ...more.map((line) => line.slice(3))].join(' ') }
}
