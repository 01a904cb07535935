// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './shared.mjs'

const path = join(root, 'CHANGELOG.md')
const UNRELEASED = 'Unreleased'

/** What CHANGELOG.md says of a version, or else of what is not released yet; empty if it says nothing. */
export function releaseNotes(version) {
  const [, ...text] = (section(version) ?? section(UNRELEASED) ?? '').split('\n')
  // GitHub shows every line break in the notes of a release.
  return text
    .join('\n')
    .replaceAll(/\n +(?![ *-])/gu, ' ')
    .trim()
}

/** Gives what is not released yet the heading of the version, unless there is a section for it. */
export function dateSection(version) {
  if (section(version) !== undefined) return
  const date = new Date().toISOString().slice(0, 10)
  const heading = `## ${UNRELEASED}\n`
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(heading, `${heading}\n## ${version} - ${date}\n`))
}

/** A section with its heading, which is the title, or the title and a date. */
function section(title) {
  const sections = readFileSync(path, 'utf8').split(/^## /mu)
  return sections.find((text) => text.split(/\s/u, 1)[0] === title)
}
