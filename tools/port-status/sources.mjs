// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Upstreams on disk: git clones and packages.

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Failure } from '../../scripts/shared.mjs'
import { UPSTREAMS } from './upstreams.mjs'

const VERSION = /^__version__\s*=\s*["'](?<version>[^"']+)["']/mu

/** What a folder has to compare with: one upstream if it is a clone, perhaps several if it is site-packages. */
export function openSources(folder, revision) {
  if (isClone(folder)) return [openClone(folder, revision)]
  if (revision !== undefined) throw new Failure('--rev goes with a clone, and this is none')
  return openPackages(folder)
}

/** git itself would look in the folders above too, where some other repository may be. */
function isClone(folder) {
  const isBare = ['HEAD', 'objects', 'refs'].every((name) => existsSync(join(folder, name)))
  return isBare || existsSync(join(folder, '.git'))
}

/** @returns the clone at a revision, with its upstream; what takes a revision of its own can read others. */
export function openClone(folder, revision = 'HEAD') {
  if (!isClone(folder)) throw new Failure(`${folder} is no git clone`)
  const call = (...args) => git(['-C', folder, ...args])
  const must = (...args) => {
    const { ok, stdout, stderr } = call(...args)
    if (!ok) throw new Failure(`git ${args[0]} in ${folder}: ${stderr.trim()}`)
    return stdout
  }
  const resolved = call('rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`)
  if (!resolved.ok) throw new Failure(`${folder}: ${resolved.stderr.trim() || revision}`)
  const commit = resolved.stdout.trim()

  const upstream = UPSTREAMS.find(({ root }) => call('cat-file', '-e', `${commit}:${root}`).ok)
  if (upstream === undefined)
    throw new Failure(`${folder} is a clone of neither ${listNames(' nor ')}`)
  const read = (path, at = commit) => {
    const { ok, stdout } = call('cat-file', 'blob', `${at}:${path}`)
    return ok ? stdout : undefined
  }
  return {
    kind: 'clone',
    upstream,
    revision: commit,
    date: must('log', '-1', '--format=%cs', commit).trim(),
    version: versionIn(read(upstream.versionFile)),
    read,
    models: () =>
      upstream.models === null
        ? []
        : must('ls-tree', '--name-only', commit, `${upstream.models}/`)
            .split('\n')
            .filter(isPython),
    /** The dates that a commit bears, as YYYY-MM-DD; none if the clone lacks it. */
    dates: memoize((at) => {
      const { ok, stdout } = call('log', '-1', '--format=%cs %as', '--end-of-options', at)
      return ok ? stdout.trim().split(' ') : []
    }),
    isAncestor: memoize((at) => call('merge-base', '--is-ancestor', at, commit).ok),
    /** Where a file of that commit lies now, if it was moved. */
    movedTo: (at, path) => {
      const args = ['-M', '-l0', '--diff-filter=R', '--name-status', '-z', at, commit]
      const fields = must('diff', ...args, '--', upstream.root).split('\0')
      const from = fields.findIndex((field, index) => index % 3 === 1 && field === path)
      return from === -1 ? null : fields[from + 1]
    },
    /** The commits since that one which touched any of the paths, newest first. */
    commits: (at, paths) => {
      const format = ['--no-merges', '--no-color', '--abbrev=8', '--format=%x00%h%x09%cs%x09%s']
      const how = [...format, '--numstat', '-M', '--no-ext-diff', '--no-textconv']
      return must('log', ...how, `${at}..${commit}`, '--', ...paths)
        .split('\0')
        .slice(1)
        .map(parseCommit)
    },
  }
}

/** Many originals have the same commit. */
function memoize(compute) {
  const known = new Map()
  return (key) => {
    if (!known.has(key)) known.set(key, compute(key))
    return known.get(key)
  }
}

function parseCommit(text) {
  const [head, ...stats] = text.split('\n').filter((line) => line !== '')
  const [hash, date, ...subject] = head.split('\t')
  const counts = stats.map((line) => line.split('\t').map(Number))
  const sum = (column) => counts.reduce((total, row) => total + (row[column] || 0), 0)
  return { hash, date, subject: subject.join('\t'), added: sum(0), removed: sum(1) }
}

/** The packages in a folder (site-packages, an unpacked wheel), or the folder as a package. */
function openPackages(folder) {
  const found = UPSTREAMS.flatMap((upstream) => {
    const isItself = basename(resolve(folder)) === upstream.package
    const above = isItself ? dirname(resolve(folder)) : folder
    return existsSync(join(above, upstream.package)) ? [openPackage(above, upstream)] : []
  })
  if (found.length === 0)
    throw new Failure(`${folder} is no git clone, and has no package ${listNames(' or ')}`)
  return found
}

function openPackage(folder, upstream) {
  /** Paths are those of the repository. */
  const locate = (path) => join(folder, upstream.package, path.slice(upstream.root.length))
  const read = (path) => {
    const full = locate(path)
    return existsSync(full) ? readFileSync(full, 'utf8') : undefined
  }
  return {
    kind: 'package',
    upstream,
    version: versionIn(read(upstream.versionFile)),
    read,
    models: () =>
      upstream.models === null
        ? []
        : readdirSync(locate(upstream.models))
            .filter(isPython)
            .toSorted()
            .map((name) => `${upstream.models}/${name}`),
  }
}

function listNames(separator) {
  return UPSTREAMS.map(({ name }) => name).join(separator)
}

function isPython(name) {
  return name.endsWith('.py')
}

function versionIn(text = '') {
  return VERSION.exec(text)?.groups?.version ?? null
}

/** The difference of two texts in git's format, with the lines that it adds and takes away. */
export function difference(from, to) {
  const folder = mkdtempSync(join(tmpdir(), 'port-status-'))
  try {
    const names = [join('a', from.path), join('b', to.path)]
    for (const [index, { text }] of [from, to].entries()) {
      mkdirSync(dirname(join(folder, names[index])), { recursive: true })
      writeFileSync(join(folder, names[index]), text)
    }
    const how = ['--no-index', '--no-prefix', '--no-color', '--no-ext-diff', '--no-textconv']
    const { stdout } = git(['diff', ...how, ...names], { cwd: folder })
    const hunks = stdout.slice(Math.max(stdout.indexOf('\n@@'), 0))
    const count = (sign) => hunks.split('\n').filter((line) => line.startsWith(sign)).length
    return { diff: stdout, added: count('+'), removed: count('-') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function git(args, { cwd } = {}) {
  // Inside a hook, git's variables point to the repository of the hook.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')),
  )
  const all = ['-c', 'log.showSignature=false', ...args]
  const { status, stdout, stderr, error } = spawnSync('git', all, {
    cwd,
    env: { ...env, LC_ALL: 'C' },
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (error) throw new Failure(`git: ${error.message}`)
  return { ok: status === 0, stdout, stderr }
}
