// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// baseline.json: checksums of mlx-lm's files, for when there is a package to compare and no clone.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../scripts/shared.mjs'
import { isEssential } from './mlx-lm.mjs'

const PINNED = /^mlx-lm==(?<version>\S+)/mu
const IMPORT = /^\s*from \.(?<name>\w+) import/gmu

export function sha256(text) {
  return createHash('sha256').update(text).digest('hex')
}

/** { oracle: version, originals: { path: { recorded: { gitHash: sha256 }, oracle: sha256 } } } */
export function readBaseline(path) {
  if (!existsSync(path)) return { oracle: null, originals: {} }
  try {
    const { oracle, originals } = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof originals === 'object' && originals !== null) return { oracle, originals }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new Failure(`${path} is damaged; --write-baseline writes it anew`)
}

/**
 * Besides the originals of today it has the rest of the essential families and what those import, so that a new port
 * of a version that other ports have too finds its checksum there.
 *
 * @returns the number of originals
 */
export function writeBaseline({ path, project, ported, oracle, clone }) {
  checkOracle(project, oracle.version)
  const hashes = [...new Set(ported.map(({ gitHash }) => gitHash))].toSorted()
  const missing = hashes.find((hash) => clone.dates(hash).length === 0)
  if (missing !== undefined) throw new Failure(`the clone has no commit ${missing}`)

  const start = [...ported.map(({ original }) => original), ...oracle.models().filter(isEssential)]
  const originals = {}
  for (const original of withImports(start, oracle).toSorted()) {
    const inOracle = oracle.read(original)
    const recorded = hashes.flatMap((hash) => {
      const text = clone.read(original, hash)
      return text === undefined ? [] : [[hash, sha256(text)]]
    })
    originals[original] = {
      recorded: Object.fromEntries(recorded),
      oracle: inOracle === undefined ? null : sha256(inOracle),
    }
  }
  writeFileSync(path, `${JSON.stringify({ oracle: oracle.version, originals }, undefined, 2)}\n`)
  return Object.keys(originals).length
}

function withImports(start, oracle) {
  const found = new Set(start)
  // What is added during the loop takes part in it.
  for (const path of found) {
    const folder = path.slice(0, path.lastIndexOf('/'))
    for (const { groups } of (oracle.read(path) ?? '').matchAll(IMPORT)) {
      const imported = `${folder}/${groups.name}.py`
      if (folder === 'mlx_lm/models' && oracle.read(imported) !== undefined) found.add(imported)
    }
  }
  return [...found]
}

function checkOracle(project, version) {
  const requirements = join(project, 'tools/parity/requirements.txt')
  if (!existsSync(requirements)) return
  const pinned = PINNED.exec(readFileSync(requirements, 'utf8'))?.groups?.version
  if (pinned !== version)
    throw new Failure(`the parity oracle is mlx-lm ${pinned}, and this is ${version}`)
}
