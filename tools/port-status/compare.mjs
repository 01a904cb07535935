// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What became of each original since the version that its port records.

import { sha256 } from './baseline.mjs'
import { difference } from './sources.mjs'
import { isEssential, shortRevision } from './upstreams.mjs'

/** Only those upstreams count that there is a target for, or all if there is none. */
export function compareAll({ ported, problems, targets, clones, baselineFor }) {
  const results =
    targets.length === 0
      ? [compare({ ported })]
      : targets.map((target) => {
          const { name } = target.upstream
          const own = ported.filter(({ upstream }) => upstream === name)
          const baseline = baselineFor(target.upstream)
          return compare({ ported: own, target, clone: clones[name], baseline })
        })
  const all = (key) => results.flatMap((result) => result[key])
  return {
    targets: targets.map(describe),
    files: all('files'),
    originals: all('originals').toSorted((a, b) => compareText(a.original, b.original)),
    notPorted: all('notPorted'),
    problems: [...problems, ...all('problems')].toSorted((a, b) => compareText(a.file, b.file)),
  }
}

function compare({ ported, target, clone, baseline }) {
  const history = target?.kind === 'clone' ? target : clone
  const groups = groupBy(
    ported,
    ({ original, revision, date }) => `${original} ${revision} ${date}`,
  )
  const problems = []
  const originals = []
  for (const files of groups) {
    const wrong = history === undefined ? null : checkRecord(files, history)
    if (wrong === null) {
      const original = compareOne(files, { target, history, baseline })
      originals.push(original)
      if (original.status === 'unknown')
        for (const { file } of files) problems.push({ file, message: unknown(original) })
    } else {
      for (const { file } of files) problems.push({ file, message: wrong })
    }
  }
  const notPorted = target === undefined ? [] : findNotPorted(ported, target)
  return { files: ported, originals, notPorted, problems }
}

function compareText(a, b) {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Map.groupBy, which Node 20 lacks. */
function groupBy(items, keyOf) {
  const groups = new Map()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return [...groups.values()]
}

function describe({ upstream, kind, version, revision = null, date = null }) {
  return { upstream: upstream.name, kind, version, revision, date }
}

function checkRecord(files, history) {
  const [{ original, revision, date }] = files
  const short = shortRevision(revision)
  const dates = history.dates(revision)
  if (dates.length === 0)
    return `the clone has no commit ${revision} (is it shallow, or older than the port?)`
  if (date !== null && !dates.includes(date))
    return `commit ${short} is of ${dates[0]}, not ${date}`
  if (history.read(original, revision) === undefined && !followsRelease(files))
    return `there was no ${original} in ${short}, and no release is named`
  return null
}

function unknown({ original, revision }) {
  return (
    `the baseline has no ${original} of ${shortRevision(revision)}: ` +
    'give --clone, or write it anew (--write-baseline)'
  )
}

function findNotPorted(ported, target) {
  const known = new Set(ported.map(({ original }) => original))
  return target.models().filter((path) => isEssential(target.upstream, path) && !known.has(path))
}

/**
 * status: listed (nothing to compare with), unchanged, followed (as in the version that all its ports say they
 * follow), changed, renamed, deleted, absent (not there yet: ported from a release that is ahead of the clone), unknown.
 * What cannot be told, or has not been looked for, is null.
 */
function compareOne(files, { target, history, baseline }) {
  const [{ original, revision, date }] = files
  const base = {
    original,
    revision,
    date,
    files: files.map(({ file }) => file),
    status: 'listed',
    changed: false,
    movedTo: null,
    followedBy: [],
    asOracle: null,
    commentsOnly: null,
    added: null,
    removed: null,
    commits: null,
    isAncestor: null,
    diff: null,
  }
  if (target === undefined) return base

  const { text: recorded, checksum: then } = recordedVersion(files, history, baseline)
  const now = target.read(original)
  if (now !== undefined && then === undefined) return { ...base, status: 'unknown' }
  if (now !== undefined && sha256(now) === then) return { ...base, status: 'unchanged' }

  const isClone = target.kind === 'clone'
  const movedTo = now === undefined && isClone ? target.movedTo(revision, original) : null
  const text = movedTo === null ? now : target.read(movedTo)
  const details = {
    movedTo,
    ...(recorded === undefined ? {} : describeChange(original, recorded, movedTo, text)),
    ...(isClone
      ? {
          commits: target.commits(
            revision,
            [original, movedTo].filter((path) => path !== null),
          ),
          isAncestor: target.isAncestor(revision),
        }
      : {}),
  }
  if (now === undefined) {
    const isAbsent = details.commits?.length === 0 && followsRelease(files)
    if (isAbsent && target.read(original, revision) === undefined)
      return { ...base, status: 'absent' }
    const status = movedTo === null ? 'deleted' : 'renamed'
    return { ...base, ...details, status, changed: true }
  }

  const isFollowed = ({ follows }) =>
    follows !== null &&
    sha256(now) === release(follows.version, original, history, baseline).checksum
  const followedBy = files.filter(isFollowed).map(({ file }) => file)
  const changed = followedBy.length < files.length
  const asOracle = sha256(now) === baseline.originals[original]?.oracle ? baseline.oracle : null
  const status = changed ? 'changed' : 'followed'
  return { ...base, ...details, status, changed, followedBy, asOracle }
}

function followsRelease(files) {
  return files.every(({ follows }) => follows !== null)
}

/** What was ported: the original of the recorded commit or, where that lacks it, of the release that is followed. */
function recordedVersion(files, history, baseline) {
  const [{ original, revision, follows }] = files
  const text = history?.read(original, revision)
  const checksum =
    text === undefined ? baseline.originals[original]?.recorded[revision] : sha256(text)
  if (checksum === undefined && followsRelease(files))
    return release(follows.version, original, history, baseline)
  return { text, checksum }
}

/** An original in a released version: from the clone's tag, or the baseline if the oracle is that version. */
function release(version, original, history, baseline) {
  const text = history?.read(original, `refs/tags/v${version}`)
  if (text !== undefined) return { text, checksum: sha256(text) }
  return version === baseline.oracle ? { checksum: baseline.originals[original]?.oracle } : {}
}

function describeChange(path, recorded, movedTo, text = '') {
  return {
    ...difference({ path, text: recorded }, { path: movedTo ?? path, text }),
    commentsOnly: codeOf(recorded) === codeOf(text),
  }
}

/** Python without blank lines and lines that are nothing but a comment. */
function codeOf(text) {
  return text
    .split(/\r?\n/u)
    .filter((line) => !/^\s*(?:#|$)/u.test(line))
    .join('\n')
}
