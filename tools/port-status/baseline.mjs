// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// baseline.json: checksums of upstream files, for when there is a package to compare and no clone.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../scripts/shared.mjs'
import { isEssential, shortRevision } from './upstreams.mjs'

const IMPORT = /^\s*from \.(?<name>\w+) import/gmu

export function sha256(text) {
  return createHash('sha256').update(text).digest('hex')
}

const EMPTY = { oracle: null, originals: {} }

/** For each upstream { oracle: version, originals: { path: { recorded: { revision: sha256 }, oracle: sha256 } } } */
export function readBaseline(path) {
  if (!existsSync(path)) return {}
  try {
    const baseline = JSON.parse(readFileSync(path, 'utf8'))
    if (Object.values(baseline ?? { damaged: null }).every((part) => part?.originals))
      return baseline
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new Failure(`${path} is damaged; --write-baseline writes it anew`)
}

export function baselineOf(baseline, { name }) {
  return baseline[name] ?? EMPTY
}

/**
 * Writes the part of each oracle's upstream; the other parts stay.
 *
 * @returns the number of originals
 */
export function writeBaseline({ path, project, ported, oracles, clones }) {
  const before = readBaseline(path)
  const parts = oracles.map((oracle) => {
    const { name } = oracle.upstream
    checkOracle(project, oracle)
    const own = ported.filter(({ upstream }) => upstream === name)
    const known = baselineOf(before, oracle.upstream).originals
    return [
      name,
      { oracle: oracle.version, originals: checksums(own, oracle, clones[name], known) },
    ]
  })
  const baseline = { ...before, ...Object.fromEntries(parts) }
  writeFileSync(path, `${JSON.stringify(baseline, undefined, 2)}\n`)
  return parts.reduce((sum, [, { originals }]) => sum + Object.keys(originals).length, 0)
}

/**
 * Besides the originals of today these are the rest of the essential families and what those import, so that a new
 * port of a version that other ports have too finds its checksum.
 */
function checksums(ported, oracle, clone, known) {
  const revisions = [...new Set(ported.map(({ revision }) => revision))].toSorted()
  const recorded = (original, revision) => {
    const text =
      clone?.read(original, revision) ??
      (revision === `v${oracle.version}` ? oracle.read(original) : undefined)
    const checksum = text === undefined ? known[original]?.recorded[revision] : sha256(text)
    return checksum === undefined ? [] : [[revision, checksum]]
  }
  for (const { original, revision, follows } of ported) {
    if (recorded(original, revision).length === 0 && follows === null)
      throw new Failure(`no ${original} of ${shortRevision(revision)} is known: give --clone`)
  }

  const start = ported.map(({ original }) => original)
  const essential = oracle.models().filter((path) => isEssential(oracle.upstream, path))
  const entries = withImports([...start, ...essential], oracle).toSorted()
  return Object.fromEntries(
    entries.map((original) => {
      const inOracle = oracle.read(original)
      return [
        original,
        {
          recorded: Object.fromEntries(
            revisions.flatMap((revision) => recorded(original, revision)),
          ),
          oracle: inOracle === undefined ? null : sha256(inOracle),
        },
      ]
    }),
  )
}

function withImports(start, oracle) {
  const found = new Set(start)
  // What is added during the loop takes part in it.
  for (const path of found) {
    const folder = path.slice(0, path.lastIndexOf('/'))
    for (const { groups } of (oracle.read(path) ?? '').matchAll(IMPORT)) {
      const imported = `${folder}/${groups.name}.py`
      if (folder === oracle.upstream.models && oracle.read(imported) !== undefined)
        found.add(imported)
    }
  }
  return [...found]
}

function checkOracle(project, { upstream, version }) {
  const requirements = join(project, 'tools/parity/requirements.txt')
  if (!existsSync(requirements)) return
  const pins = readFileSync(requirements, 'utf8').split('\n')
  const pinned = pins.find((line) => line.startsWith(`${upstream.name}==`))
  if (pinned !== `${upstream.name}==${version}`)
    throw new Failure(`the parity oracle has ${pinned}, and this is ${version}`)
}
