// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The headers of ported files: where each comes from, and which version of that was ported.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, sep } from 'node:path'
import { Failure } from '../../scripts/shared.mjs'
import { UPSTREAMS, upstreamOf } from './upstreams.mjs'

/** A header lies within this many lines. */
const LINES = 16

/** Here everything is ported, except what is named below and unit tests. */
const MODELS = 'src/models/'
const NOT_PORTED = new Set([
  'src/models/common/mod.rs',
  'src/models/config.rs',
  'src/models/generation_config.rs',
  'src/models/normalize.rs',
  'src/models/pace.rs',
  'src/models/rotary.rs',
  'src/models/settings.rs',
  'src/models/mod.rs',
])

const NAMES = UPSTREAMS.map(({ name }) => name).join('|')
const ROOTS = UPSTREAMS.map(({ root }) => root).join('|')
const PORTED = new Map(UPSTREAMS.map(({ name, url }) => [`// Ported from ${name} (${url})`, name]))
const ORIGINAL = new RegExp(
  String.raw`^// Original: (?<path>(?:${ROOTS})/(?:\w[\w.-]*/)*\w[\w.-]*\.py)$`,
  'u',
)
const GIT_HASH = /^\/\/ Git Hash: (?<revision>[0-9a-f]{40}) \((?<date>\d{4}-\d{2}-\d{2})\)$/u
/** For a release whose commit is not known. */
const GIT_TAG = /^\/\/ Git Tag: (?<revision>v\d+\.\d+\S*)$/u
const VERSION_LINES = '"// Git Hash: <40 hex digits> (<YYYY-MM-DD>)" or "// Git Tag: v<version>"'
const FOLLOWS = new RegExp(
  String.raw`^// Follows (?:${NAMES}) (?<version>\d+\.\d+\S*) where it differs: (?<what>\S.*)$`,
  'u',
)
const CONTINUED = /^\/\/ (?<text>\S.*)$/u

/** What a header's lines begin with, in whatever spelling. */
const HEADER = new RegExp(
  String.raw`^\s*//[!/]?\s*(?:ported from (?:${NAMES})|original\s*:|git\s*(?:hash|tag)\s*:|follows (?:${NAMES}))`,
  'iu',
)
/** Those of them that nobody would write elsewhere in a file. */
const UNMISTAKABLE = /^\s*\/\/[!/]?\s*(?:original\s*:|git\s*(?:hash|tag)\s*:)/iu

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

  const wrong = started.find(isMalformed)
  if (wrong !== undefined) return { message: `malformed: ${wrong.trim()}` }
  const originals = head.flatMap((line) => ORIGINAL.exec(line)?.groups?.path ?? [])
  if (originals.length === 0) return { message: 'no line "// Original: <path>.py"' }
  if (new Set(originals).size < originals.length) return { message: 'names an original twice' }
  const upstreams = new Set([
    ...head.flatMap((line) => PORTED.get(line) ?? []),
    ...originals.map((original) => upstreamOf(original).name),
  ])
  if (upstreams.size > 1) return { message: `names ${[...upstreams].join(' and ')}` }

  const versions = head.flatMap((line) => (GIT_HASH.exec(line) ?? GIT_TAG.exec(line))?.groups ?? [])
  if (versions.length !== 1) return { message: `not one line ${VERSION_LINES}` }
  const [{ revision, date = null }] = versions
  if (date !== null && !isDate(date)) return { message: `no such date: ${date}` }
  const [upstream] = upstreams
  const follows = findFollows(head)
  const entry = (original) => ({ file, upstream, original, revision, date, follows })
  return { entries: originals.map((original) => entry(original)) }
}

function mustBePorted(file) {
  return file.startsWith(MODELS) && !NOT_PORTED.has(file) && basename(file) !== 'tests.rs'
}

function missing() {
  return 'has no header; a file that is no port is named in tools/port-status/headers.mjs'
}

function isMalformed(line) {
  return !(
    PORTED.has(line) || [ORIGINAL, GIT_HASH, GIT_TAG, FOLLOWS].some((pattern) => pattern.test(line))
  )
}

function isDate(text) {
  const date = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(date.valueOf()) && date.toISOString().startsWith(text)
}

/** `Follows <upstream> <version> where it differs: <what>`, with the lines that go on with it. */
function findFollows(head) {
  const at = head.findIndex((line) => FOLLOWS.test(line))
  if (at === -1) return null
  const { version, what } = FOLLOWS.exec(head[at]).groups
  const rest = head.slice(at + 1)
  const end = rest.findIndex((line) => HEADER.test(line) || !CONTINUED.test(line))
  const more = rest.slice(0, end === -1 ? rest.length : end)
  return { version, what: [what, ...more.map((line) => line.slice(3))].join(' ') }
}
