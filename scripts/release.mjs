// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run release -- 0.2.0`: sets the version, dates the changelog, commits and tags, unless there is a problem.
// `npm run release -- --dry-run`: packs everything and does what changes neither the repository nor the registry, for the
// version of package.json or the one that is named. With `--packed`, it takes the tarballs in target/packages.
// `npm run release -- --publish`: what .github/workflows/release.yml does with a tag, once its packages are tested.

import { execFileSync, spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { dateSection, releaseNotes } from './changelog.mjs'
import { PACKAGES } from './packages.mjs'
import { Failure, readJson, root, run, script } from './shared.mjs'
import { findTarball } from './tarballs.mjs'
import { setVersion, versionProblems } from './versions.mjs'

const FLAG = { type: 'boolean' }
const OPTIONS = { 'dry-run': FLAG, packed: FLAG, publish: FLAG }
/** The version of the tarballs. */
const packed = readJson(root).version

await script(() => {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true })
  const [version = packed] = positionals
  if (values.publish) publish()
  else if (values['dry-run']) rehearse(version, values.packed)
  else if (positionals.length === 1) release(version)
  else throw new Failure("which version? 'npm run release -- 0.2.0', or '-- --dry-run'")
})

function release(version) {
  stopAt(problemsOf(version))
  setVersion(version)
  dateSection(version)
  git('commit', '--quiet', '--all', '--message', `release: ${version}`)
  git('tag', '--annotate', `v${version}`, '--message', `node-mlx ${version}`)
  console.error(`Tagged v${version}. 'git push origin main v${version}' publishes it.`)
}

/** Goes on after a problem, to find all of them. */
function rehearse(version, isPacked) {
  const problems = problemsOf(version)
  if (!isPacked) run(process.execPath, ['scripts/pack.mjs', '--all'])
  for (const tarball of findTarballs()) {
    try {
      publishTarball(tarball, '--dry-run')
    } catch (error) {
      problems.push(error.message)
    }
  }
  console.log(releaseNotes(version))
  stopAt(problems)
}

/** Prints the notes to standard output, and nothing else. */
function publish() {
  const tarballs = findTarballs()
  const problems = [...fileProblems(packed), ...tarballs.flatMap(({ problem }) => problem ?? [])]
  const tag = `v${packed}`
  if (!git('tag', '--points-at', 'HEAD').split('\n').includes(tag))
    problems.push(`the commit does not have the tag ${tag}`)
  stopAt(problems)
  for (const tarball of tarballs) publishTarball(tarball, '--provenance')
  console.log(releaseNotes(packed))
}

/** In the order in which they are published: whoever gets node-mlx must find the others. */
function findTarballs() {
  const names = [...PACKAGES.map(({ name }) => name), 'node-mlx']
  return names.map((name) => findTarball(name, packed))
}

function publishTarball({ name, path, problem }, option) {
  if (problem) throw new Failure(problem)
  const view = ['view', `${name}@${packed}`, 'version']
  const { stdout } = spawnSync('npm', view, { cwd: root, encoding: 'utf8' })
  // A job that runs again goes on where it ended.
  if (stdout.trim() === packed) console.error(`${name} ${packed} is on npm already`)
  else run('npm', ['publish', '--access', 'public', '--loglevel', 'warn', option, path])
}

function problemsOf(version) {
  const problems = fileProblems(version)
  const [latest = ''] = git('tag', '--list', 'v*', '--sort', '-version:refname').split('\n')
  if (!/^\d+\.\d+\.\d+$/u.test(version)) problems.push(`${version} is not a version like 0.2.0`)
  else if (`v${version}`.localeCompare(latest, 'en', { numeric: true }) <= 0)
    problems.push(`${version} is not later than the last release, ${latest}`)
  const branch = git('branch', '--show-current')
  if (branch !== 'main') problems.push(`the branch is not main, but ${branch || 'none'}`)
  const changes = git('status', '--porcelain')
  if (changes !== '') problems.push(`there are changes that are not committed:\n${changes}`)
  return problems
}

function fileProblems(version) {
  const problems = versionProblems()
  if (!releaseNotes(version)) problems.push(`CHANGELOG.md says nothing of ${version}`)
  return problems
}

function stopAt(problems) {
  if (problems.length > 0) throw new Failure(`no release:\n- ${problems.join('\n- ')}`)
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trimEnd()
}
