// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The result, for people.

import { shortRevision } from './upstreams.mjs'

const STATUS = {
  changed: 'changed',
  renamed: 'moved',
  deleted: 'deleted',
}

export function report(result, { diff }) {
  const { targets, files, originals, notPorted, problems } = result
  const changed = originals.filter((original) => original.changed)
  const names = (status) =>
    originals.filter((original) => original.status === status).map(({ original }) => original)

  const sections = [
    title(targets, files, originals),
    targets.length === 0 ? list(files) : '',
    changed.length > 0 ? `Look again (${changed.length}):` : '',
    ...changed.map((original) => describe(original, files, diff)),
    inline('Followed already', names('followed')),
    inline('Unchanged', names('unchanged')),
    inline('Not there yet, ported from a release', names('absent')),
    inline('Not ported, of the essential families', notPorted.map(fileName)),
    problems.length > 0
      ? ['Wrong:', ...problems.map((p) => `  ${p.file}: ${p.message}`)].join('\n')
      : '',
    targets.length > 0 && changed.length + problems.length === 0 ? 'Nothing to look at again.' : '',
  ]
  return sections.filter((section) => section !== '').join('\n\n')
}

function title(targets, files, originals) {
  const count = `${new Set(files.map(({ file }) => file)).size} files ported from ${originals.length} originals`
  if (targets.length === 0) return `${count}.`
  return `${count}, compared with ${targets.map(describeTarget).join(' and ')}.`
}

function describeTarget({ upstream, kind, version, revision, date }) {
  const name = `${upstream} ${version ?? 'of unknown version'}`
  if (kind === 'package') return `the package ${name}`
  return `the clone at ${shortRevision(revision)} (${date}, ${name})`
}

function list(files) {
  const width = Math.max(...files.map(({ file }) => file.length))
  const originalWidth = Math.max(...files.map(({ original }) => original.length))
  return files
    .map(({ file, original, revision, date, follows }) =>
      [
        file.padEnd(width),
        original.padEnd(originalWidth),
        dated(revision, date),
        follows === null ? '' : `follows ${follows.version}: ${follows.what}`,
      ]
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function describe(original, files, withDiff) {
  const { status, movedTo, revision, date, added, removed, commits } = original
  const lines = added === null ? '' : ` +${added} −${removed}`
  const where = movedTo === null ? '' : ` to ${movedTo}`
  const out = [
    `${original.original}: ${STATUS[status]}${where}${lines} since ${dated(revision, date)}`,
    ...remarks(original).map((remark) => `  (${remark})`),
    ...original.files.map((file) => `  → ${file}${followsIn(original, file, files)}`),
    ...(commits ?? []).map((c) => `  ${c.hash} ${c.date} +${c.added} −${c.removed}  ${c.subject}`),
  ]
  if (withDiff && original.diff !== null) out.push('', original.diff.trimEnd())
  return out.join('\n')
}

function remarks({ commentsOnly, asOracle, isAncestor, revision, status }) {
  const out = []
  if (commentsOnly && status !== 'deleted') out.push('nothing but comments and blank lines')
  if (asOracle !== null) out.push(`as in ${asOracle}, which the parity tests compare with`)
  if (isAncestor === false)
    out.push(
      `${shortRevision(revision)} is not in the history of that revision; commits may be missing`,
    )
  return out
}

function followsIn({ original, followedBy }, file, files) {
  const { follows } = files.find((entry) => entry.file === file && entry.original === original)
  if (follows === null) return ''
  const done = followedBy.includes(file) ? ', which this is' : ''
  return ` (follows ${follows.version}${done}: ${follows.what})`
}

function inline(label, names) {
  return names.length === 0 ? '' : `${label} (${names.length}): ${names.join(', ')}`
}

function dated(revision, date) {
  return date === null ? revision : `${shortRevision(revision)} (${date})`
}

function fileName(path) {
  return path.slice(path.lastIndexOf('/') + 1)
}
