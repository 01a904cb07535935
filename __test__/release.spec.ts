// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run release`, in a small copy of the repository, with an npm that publishes nothing.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { root, scratch } from './helpers/models'
import { NODE, runProgram, type Output } from './helpers/run-program'

const { version } = readJson('package.json') as { version: string }
const packages = Object.keys(readJson('scripts/package-sizes.json') as object)

/** The lines that a release writes in each file; those of index.js are as many as the platforms of napi-rs. */
const LINES: Record<string, number> = {
  'CHANGELOG.md': 2,
  'Cargo.lock': 2,
  'Cargo.toml': 1,
  'examples/electron-forge/package.json': 1,
  'examples/electron-vite/package.json': 1,
  'fuzz/Cargo.lock': 2,
  'index.js': read('index.js').split(`'${version}'`).length * 2 - 2,
  'kernels/Cargo.toml': 1,
  'package-lock.json': 2,
  'package.json': 1,
}

const CHANGELOG = `# Changelog

## Unreleased

### Added

- One,
  in two lines.
  - Two.

## 0.0.1 - 2020-01-01

- Old.
`
const NOTES = '### Added\n\n- One, in two lines.\n  - Two.\n'

/** Knows what is published already, and remembers what it is asked to publish. */
const NPM = `#!/bin/sh
folder=$(dirname "$0")
case $1 in
  view) grep -qxF "$2" "$folder/on-npm" && echo "\${2#*@}" ;;
  *) echo "$@" >> "$folder/log" ;;
esac
`
const PUBLISH = /\/packages\/(.*)-\d+\.\d+\.\d+\.tgz$/u

test('a rehearsal finds nothing wrong with this repository, and publishes node-mlx last', async () => {
  const copy = makeCopy({ 'CHANGELOG.md': read('CHANGELOG.md') })
  const before = copy.git('rev-parse', 'HEAD')
  const { stdout } = await copy.run(['--dry-run', '--packed'])
  expect(stdout).toMatch(/^### Added\n\n- `loadModel` from a folder/u)
  const published = copy.published('--dry-run')
  expect(published.toSorted()).toEqual(packages)
  expect(published.at(-1)).toBe('node-mlx')
  expect(copy.git('rev-parse', 'HEAD')).toBe(before)
  expect(copy.git('tag')).toBe('')
})

test('a rehearsal lists every problem', async () => {
  const copy = makeCopy({
    'CHANGELOG.md': CHANGELOG.replace('Unreleased', '0.3.0'),
    'fuzz/Cargo.lock': read('fuzz/Cargo.lock').replace(`"${version}"`, '"0.0.7"'),
    'examples/electron-vite/package.json': '{}',
    [`target/packages/node-mlx-${version}.tgz`]: Buffer.alloc(1e6),
  })
  copy.git('tag', 'v0.9.0')
  copy.git('tag', 'v0.10.0')
  copy.git('checkout', '--quiet', '-b', 'other')
  writeFileSync(join(copy.folder, 'Cargo.toml'), read('Cargo.toml').replace(version, '7.7.7'))
  const { stderr } = await copy.run(['0.9.1', '--dry-run', '--packed'], 1)
  expect(stderr.slice(stderr.indexOf('node-mlx: no release'))).toBe(
    `node-mlx: no release:
- Cargo.toml has 7.7.7, package.json has ${version}
- fuzz/Cargo.lock has 0.0.7, package.json has ${version}
- examples/electron-vite/package.json has no version, package.json has ${version}
- CHANGELOG.md says nothing of 0.9.1
- 0.9.1 is not later than the last release, v0.10.0
- the branch is not main, but other
- there are changes that are not committed:
 M Cargo.toml
- node-mlx is larger than 0.6 MB (scripts/package-sizes.json)
`,
  )
  expect(copy.published('--dry-run').toSorted()).toEqual(
    packages.filter((name) => name !== 'node-mlx'),
  )
})

test('a release sets the version everywhere, dates the changelog, commits and tags', async () => {
  const copy = makeCopy({ 'CHANGELOG.md': CHANGELOG })
  copy.git('tag', 'v0.9.0')
  const before = today()
  await copy.run(['0.10.0'])
  expect(copy.git('status', '--porcelain')).toBe('')
  expect(copy.git('log', '-1', '--format=%s')).toBe('release: 0.10.0')
  expect(copy.git('cat-file', '-t', 'v0.10.0')).toBe('tag')
  const changed = copy.git('show', '--format=', '--numstat', 'v0.10.0^0').split('\n')
  expect(changed.map((line) => line.split('\t')).map(([added, , file]) => [file, added])).toEqual(
    Object.entries(LINES).map(([file, lines]) => [file, String(lines)]),
  )
  const dated = (day: string) =>
    CHANGELOG.replace('## Unreleased', `## Unreleased\n\n## 0.10.0 - ${day}`)
  // Midnight may have been in between.
  expect([before, today()].map(dated)).toContain(copy.read('CHANGELOG.md'))
  expect(copy.read('index.js')).toContain("!== '0.10.0'")
  expect(copy.read('index.js')).not.toContain(version)

  // What was not packed since is named.
  const { stderr } = await copy.run(['--publish'], 1)
  for (const name of packages) expect(stderr).toContain(`${name}-0.10.0.tgz\n`)
  expect(copy.published('--provenance')).toEqual([])
})

test('a release with a problem changes nothing', async () => {
  const copy = makeCopy({ 'CHANGELOG.md': '# Changelog\n\n## Unreleased\n' })
  const before = copy.git('rev-parse', 'HEAD')
  const empty = await copy.run(['7.8.9'], 1)
  expect(empty.stderr).toBe('node-mlx: no release:\n- CHANGELOG.md says nothing of 7.8.9\n')
  const odd = await copy.run(['7.8'], 1)
  expect(odd.stderr).toContain('7.8 is not a version like 0.2.0')
  const none = await copy.run([], 1)
  expect(none.stderr).toContain('which version?')
  expect(copy.git('status', '--porcelain')).toBe('')
  expect(copy.git('rev-parse', 'HEAD')).toBe(before)
  expect(copy.git('tag')).toBe('')
})

test('a tag is published with its notes; what npm has already is left out', async () => {
  const onNpm = `node-mlx-darwin-arm64@${version}`
  const copy = makeCopy({ 'CHANGELOG.md': CHANGELOG }, onNpm)
  copy.git('tag', `v${version}`)
  copy.git('commit', '--quiet', '--allow-empty', '--message', 'later')
  const { stderr } = await copy.run(['--publish'], 1)
  expect(stderr).toContain(`the commit does not have the tag v${version}`)
  expect(copy.published('--provenance')).toEqual([])

  copy.git('tag', '--force', `v${version}`)
  const { stdout } = await copy.run(['--publish'])
  expect(stdout).toBe(NOTES)
  const published = copy.published('--provenance')
  expect(published.toSorted()).toEqual(packages.filter((name) => name !== 'node-mlx-darwin-arm64'))
  expect(published.at(-1)).toBe('node-mlx')
})

interface Copy {
  folder: string
  /** Runs the script, and expects this exit status. */
  run: (args: string[], status?: number) => Promise<Output>
  git: (...args: string[]) => string
  read: (file: string) => string
  /** The packages that npm was asked to publish, with this option. */
  published: (option: string) => string[]
}

/** A repository that is ready to be released, but for these files; npm has one version of some packages. */
function makeCopy(files: Record<string, string | Uint8Array>, onNpm = ''): Copy {
  const folder = mkdtempSync(join(scratch(), 'repository-'))
  const target = join(folder, 'target')
  const write = (file: string, content: string | Uint8Array, mode = 0o644): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), content, { mode })
  }
  for (const file of [...Object.keys(LINES), 'scripts', '.gitignore'])
    cpSync(join(root, file), join(folder, file), { recursive: true })
  for (const name of packages) write(`target/packages/${name}-${version}.tgz`, '')
  for (const [file, content] of Object.entries(files)) write(file, content)
  write('target/on-npm', onNpm)
  write('target/npm', NPM, 0o755)

  const env = {
    PATH: `${target}${delimiter}${process.env['PATH']}`,
    CARGO_TARGET_DIR: target,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'A',
    GIT_AUTHOR_EMAIL: 'a@example.com',
    GIT_COMMITTER_NAME: 'A',
    GIT_COMMITTER_EMAIL: 'a@example.com',
  }
  const options = { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } } as const
  const git = (...args: string[]): string => execFileSync('git', args, options).trimEnd()
  git('init', '--quiet', '--initial-branch', 'main')
  git('add', '.')
  git('commit', '--quiet', '--message', 'all')

  return {
    folder,
    git,
    run: async (args, status = 0) =>
      runProgram(NODE, ['scripts/release.mjs', ...args], { cwd: folder, env, status }),
    read: (file) => readFileSync(join(folder, file), 'utf8'),
    published: (option) => {
      const log = join(target, 'log')
      const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
      return lines.map((line) => {
        const [, name] = PUBLISH.exec(line) ?? []
        expect(line).toBe(
          `publish --access public --loglevel warn ${option} ${target}/packages/${name}-${version}.tgz`,
        )
        return name ?? ''
      })
    },
  }
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

function readJson(file: string): unknown {
  return JSON.parse(read(file))
}
