// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The schemas of the public JSON Schema test suite, out of Python's package of that name.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { python, run, targetDir } from '../../scripts/shared.mjs'

const requirements = join(import.meta.dirname, 'requirements.txt')
const [, version] = /^jsonschema==(\S+)/mu.exec(readFileSync(requirements, 'utf8'))
const folder = join(targetDir, `jsonschema-${version}`)
const DRAFTS = { 'draft2020-12': undefined, draft7: 'http://json-schema.org/draft-07/schema#' }

/** Each with its draft, and a name: the file that it is in, and what it is about. */
export function schemas() {
  if (!existsSync(folder)) fetchSuite()
  return Object.entries(DRAFTS).flatMap(([draft, uri]) => {
    const tests = join(folder, 'json/tests', draft)
    const files = readdirSync(tests, { recursive: true }).filter((file) => file.endsWith('.json'))
    return files.toSorted().flatMap((file) => {
      const cases = JSON.parse(readFileSync(join(tests, file), 'utf8'))
      return cases.map(({ description, schema }) => ({
        draft,
        name: `${draft}/${file}: ${description}`,
        // What names no draft is read as 2020-12.
        schema: uri && typeof schema === 'object' ? { $schema: uri, ...schema } : schema,
      }))
    })
  })
}

function fetchSuite() {
  console.error('Fetching the test suite …')
  const partial = `${folder}.${process.pid}`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--no-binary=jsonschema']
  try {
    run(python, ['-m', 'pip', 'download', ...options, '--dest', partial, '-r', requirements])
    run('tar', ['-xzf', `jsonschema-${version}.tar.gz`], { cwd: partial })
    renameSync(join(partial, `jsonschema-${version}`), folder)
  } catch (error) {
    // Another run may have brought it meanwhile.
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}
