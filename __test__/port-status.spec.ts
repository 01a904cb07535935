// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// tools/port-status.mjs, on made-up upstreams and made-up ports of them; and on the headers of the real ones.

import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from './helpers/models'
import {
  bare,
  clone,
  DATE,
  find,
  header,
  makeProject,
  recorded,
  type Result,
  run,
  runAsync,
  runJson,
  statuses,
  transformers,
  transformersHeader,
  transformersPackage,
  wheel,
} from './helpers/port-status'

const project = makeProject({
  'src/models/same.rs': header('same'),
  'src/models/changed.rs': header('changed'),
  'src/cache/changed.rs': `${header('changed')}\n//! Also.\n`,
  'src/models/comment.rs': header('comment'),
  'src/models/deleted.rs': header('deleted'),
  'src/models/moved.rs': header('moved'),
  'src/models/followed.rs': `${header('followed')}// Follows mlx-lm 1.1.0 where it differs: x\n// is 2.\n`,
  'src/models/config.rs': '//! No port.\n',
  'src/engine.rs': '//! No port: Original works.\n',
})

describe('without an mlx-lm', () => {
  test('lists what is ported', () => {
    const { status, result } = runJson(project)
    expect(status).toBe(0)
    expect(result.files).toHaveLength(7)
    expect(result.files).toContainEqual({
      file: 'src/models/followed.rs',
      upstream: 'mlx-lm',
      original: 'mlx_lm/models/followed.py',
      revision: recorded,
      date: DATE,
      follows: { version: '1.1.0', what: 'x is 2.' },
    })
    const { stdout } = run(project)
    expect(stdout).toContain('7 files ported from 6 originals.')
    expect(stdout).toMatch(/src\/models\/same\.rs +mlx_lm\/models\/same\.py +[0-9a-f]{8} /u)
  })

  test('reports errors in headers', () => {
    const good = header('same')
    const withHash = (line: string) => good.replace(/^\/\/ Git Hash.*$/mu, line)
    const cases: Record<string, [text: string, message: string]> = {
      a: ['//! Nothing.\n', 'has no header'],
      b: [withHash(''), 'not one line "// Git Hash'],
      b2: [`${good}// Git Tag: v5.0.0\n`, 'not one line "// Git Hash'],
      c: [withHash('// Git Hash: abc (2026-01-02)'), 'malformed: // Git Hash: abc (2026-01-02)'],
      d: [good.replace('Git Hash', 'Git hash'), 'malformed: // Git hash'],
      e: [good.replace(DATE, '2026-02-30'), 'no such date: 2026-02-30'],
      f: [good.replace('mlx_lm/', ''), 'malformed: // Original: models/same.py'],
      g: [good.replace(/^\/\/ Original.*\n/mu, ''), 'no line "// Original'],
      h: [`${good}// Follows mlx-lm 1.1.0\n`, 'malformed: // Follows'],
      i: [good.replace('// Original', '//! Original'), 'malformed: //! Original'],
      j: ['\n'.repeat(14) + good, 'within the first 16 lines'],
      k: [transformersHeader('same').replace('Tag: v', 'Tag: '), 'malformed: // Git Tag: 5.0.0'],
      l: [good.replace('mlx_lm/models', 'src/transformers'), 'names mlx-lm and transformers'],
      m: [good.replace('ml-explore', 'ml-explorer'), 'malformed: // Ported from mlx-lm'],
    }
    const files = Object.entries(cases).map(([name, [text]]) => [`src/models/${name}.rs`, text])
    const wrong = makeProject({ ...Object.fromEntries(files), 'src/good.rs': good })
    const { status, result } = runJson(wrong)
    expect(status).toBe(1)
    expect(result.files.map(({ file }) => file)).toEqual(['src/good.rs'])
    expect(result.problems).toEqual(
      Object.entries(cases).map(([name, [, message]]) => ({
        file: `src/models/${name}.rs`,
        message: expect.stringContaining(message),
      })),
    )
    // A change, which alone would be exit code 2.
    const both = makeProject({ 'src/a.rs': header('changed'), 'src/models/b.rs': '//! Nothing.\n' })
    const { status: statusOfBoth, stdout } = run(both, clone)
    expect(statusOfBoth).toBe(1)
    expect(stdout).toContain('Look again (1):')
    expect(stdout).not.toContain('+++')
    expect(stdout).toContain('Wrong:\n  src/models/b.rs: has no header')
  })
})

describe('a clone', () => {
  test.each([
    ['with a work tree', clone],
    ['bare', bare],
  ])('%s: what changed', (_, folder) => {
    const { status, result } = runJson(project, folder, '--diff')
    expect(status).toBe(2)
    expect(statuses(result)).toEqual({
      same: 'unchanged',
      changed: 'changed',
      comment: 'changed',
      deleted: 'deleted',
      moved: 'renamed',
      followed: 'followed',
    })
    expect(find(result, 'changed')).toMatchObject({
      files: ['src/cache/changed.rs', 'src/models/changed.rs'],
      added: 2,
      removed: 1,
      commentsOnly: false,
      commits: [{ subject: 'Second: "quoted"\tand tabbed', added: 2, removed: 1 }],
      diff: expect.stringContaining('-two = 2\n+two = 3\n+three = 3\n'),
    })
    expect(find(result, 'comment').commentsOnly).toBe(true)
    expect(find(result, 'moved')).toMatchObject({
      movedTo: 'mlx_lm/models/elsewhere.py',
      added: 1,
      removed: 0,
      commits: [{ added: 1, removed: 0 }],
    })
    expect(find(result, 'deleted')).toMatchObject({ added: 0, removed: 1 })
    expect(result.notPorted).toEqual(['mlx_lm/models/llama.py', 'mlx_lm/models/qwen9.py'])
  })

  test('in words', () => {
    const { stdout } = run(project, clone, '--diff')
    expect(stdout).toContain('Look again (4):')
    expect(stdout).toContain(
      `mlx_lm/models/changed.py: changed +2 −1 since ${recorded.slice(0, 8)} (${DATE})\n` +
        '  → src/cache/changed.rs\n  → src/models/changed.rs\n',
    )
    expect(stdout).toContain('+++ b/mlx_lm/models/changed.py\n')
    expect(stdout).toContain('mlx_lm/models/moved.py: moved to mlx_lm/models/elsewhere.py +1 −0')
    expect(stdout).toContain('mlx_lm/models/deleted.py: deleted +0 −1')
    expect(stdout).toContain('nothing but comments')
  })

  test('at another revision', () => {
    const { status, result } = runJson(project, clone, '--rev', recorded)
    expect(status).toBe(0)
    expect(new Set(Object.values(statuses(result)))).toEqual(new Set(['unchanged']))
  })

  test('detects inconsistent headers', () => {
    const elsewhere = makeProject({
      'src/a.rs': header('same').replace(recorded, '0'.repeat(40)),
      'src/b.rs': header('same').replace(DATE, '2026-01-03'),
      'src/c.rs': header('qwen9'),
    })
    const { status, result } = runJson(elsewhere, clone)
    expect(status).toBe(1)
    expect(result.problems.map(({ file, message }) => `${file}: ${message}`)).toEqual([
      expect.stringMatching(/^src\/a\.rs: the clone has no commit 0+ /u),
      expect.stringMatching(/^src\/b\.rs: commit .* is of 2026-01-02, not 2026-01-03$/u),
      expect.stringMatching(/^src\/c\.rs: there was no mlx_lm\/models\/qwen9\.py in /u),
    ])
  })
})

describe('a package', () => {
  test('with a clone: what differs', () => {
    const { status, result } = runJson(project, wheel, '--clone', bare, '--diff')
    expect(status).toBe(2)
    expect(statuses(result)).toEqual({
      same: 'unchanged',
      changed: 'changed',
      comment: 'changed',
      deleted: 'deleted',
      moved: 'deleted',
      followed: 'changed',
    })
    expect(find(result, 'changed')).toMatchObject({ added: 1, removed: 1, commits: null })
    expect(find(result, 'changed').diff).toContain('-two = 2\n+two = 4\n')
    expect(find(result, 'comment').commentsOnly).toBe(true)
    expect(result.notPorted).toEqual(['mlx_lm/models/llama.py'])
  })

  test('without one: what differs from the baseline', () => {
    const folder = join(wheel, 'mlx_lm')
    const args = ['--baseline', join(project, 'baseline.json')]
    const empty = runJson(project, folder, ...args)
    expect(empty.status).toBe(1)
    expect(empty.result.problems[0]?.message).toContain('--write-baseline')

    expect(run(project, wheel, '--clone', clone, '--write-baseline', ...args).status).toBe(0)
    expect(JSON.parse(readFileSync(join(project, 'baseline.json'), 'utf8'))).toMatchObject({
      'mlx-lm': {
        oracle: '1.2.0',
        originals: { 'mlx_lm/models/llama.py': {}, 'mlx_lm/models/deleted.py': { oracle: null } },
      },
    })

    const { status, result } = runJson(project, folder, ...args)
    expect(status).toBe(2)
    expect(find(result, 'same').status).toBe('unchanged')
    expect(find(result, 'deleted').status).toBe('deleted')
    expect(find(result, 'changed')).toMatchObject({
      status: 'changed',
      asOracle: '1.2.0',
      added: null,
      commits: null,
    })
  })

  test('that only some ports follow', () => {
    const some = makeProject({
      'src/a.rs': `${header('changed')}// Follows mlx-lm 1.2.0 where it differs: x\n`,
      'src/b.rs': header('changed'),
      // Of a file that the commit does not have yet.
      'src/c.rs': `${header('released')}// Follows mlx-lm 1.2.0 where it differs: all\n`,
    })
    const args = [wheel, '--baseline', join(some, 'baseline.json')]
    expect(run(some, ...args, '--clone', bare, '--write-baseline').status).toBe(0)
    const { status, result } = runJson(some, ...args)
    expect(status).toBe(2)
    expect(find(result, 'changed')).toMatchObject({ status: 'changed', followedBy: ['src/a.rs'] })
    expect(find(result, 'released').status).toBe('unchanged')
    expect(statuses(runJson(some, clone).result)['released']).toBe('absent')
    rmSync(join(some, 'src/b.rs'))
    expect(run(some, ...args).status).toBe(0)
  })
})

describe('two upstreams', () => {
  const same = 'src/transformers/same.py'
  const changed = 'src/transformers/models/auto/changed.py'
  const files = {
    'src/models/same.rs': header('same'),
    'src/class.rs': transformersHeader('same', 'models/auto/changed'),
  }
  const byPath = ({ originals }: Result) =>
    Object.fromEntries(originals.map(({ original, status }) => [original, status]))

  test('a clone is compared with what is ported from it', () => {
    const both = makeProject(files)
    const newer = runJson(both, transformers, '--diff')
    expect(newer.status).toBe(2)
    expect(byPath(newer.result)).toEqual({ [same]: 'unchanged', [changed]: 'changed' })
    expect(newer.result.targets).toMatchObject([{ upstream: 'transformers', version: '5.1.0' }])
    expect(newer.result.originals[0]).toMatchObject({
      original: changed,
      commits: [{ subject: 'Second' }],
      diff: expect.stringContaining('-x = 1\n+x = 2\n'),
    })
    expect(run(both, transformers).stdout).toContain(`${changed}: changed +1 −1 since v5.0.0\n`)
    expect(run(both, transformers, '--rev', 'v5.0.0').status).toBe(0)
    expect(byPath(runJson(both, clone).result)).toEqual({ 'mlx_lm/models/same.py': 'unchanged' })
  })

  test('a release is known from its package, and stays known', () => {
    const both = makeProject(files)
    const args = ['--baseline', join(both, 'baseline.json')]
    const old = transformersPackage('5.0.0', 'x = 1\n')
    const newer = transformersPackage('5.1.0', 'x = 2\n')
    expect(run(both, newer, ...args, '--write-baseline').stderr).toContain('is known: give --clone')
    expect(run(both, old, ...args, '--write-baseline').status).toBe(0)
    expect(run(both, old, ...args).status).toBe(0)
    expect(run(both, newer, ...args, '--write-baseline').status).toBe(0)
    const { status, result } = runJson(both, join(newer, 'transformers'), ...args)
    expect(status).toBe(2)
    expect(byPath(result)).toEqual({ [same]: 'unchanged', [changed]: 'changed' })
  })

  test('site-packages are compared with both', () => {
    const both = makeProject(files)
    const packages = transformersPackage('5.0.0', 'x = 1\n')
    cpSync(join(wheel, 'mlx_lm'), join(packages, 'mlx_lm'), { recursive: true })
    const args = [packages, '--baseline', join(both, 'baseline.json')]
    const write = ['--write-baseline', '--clone', clone, '--clone', transformers]
    expect(run(both, ...args, ...write).status).toBe(0)
    const { status, result } = runJson(both, ...args)
    expect(status).toBe(0)
    expect(result.targets.map(({ upstream }) => upstream)).toEqual(['mlx-lm', 'transformers'])
    expect(Object.keys(byPath(result))).toEqual(['mlx_lm/models/same.py', changed, same])
  })
})

test('reports invalid arguments in one line', async () => {
  const wrong = [
    ['--nonsense'],
    ['/no/such/folder'],
    [wheel, '--diff'],
    [wheel, '--rev', 'main'],
    [clone, '--clone', clone],
    [clone, '--rev', 'no-such-revision'],
  ]
  const answers = await Promise.all(wrong.map((args) => runAsync(project, ...args)))
  expect(answers).toEqual(
    wrong.map((args) => ({
      args,
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^node-mlx: [^\n]+\n$/u),
    })),
  )
})

test('every ported file of this project has its header', () => {
  const { status, result } = runJson(root)
  expect(result.problems).toEqual([])
  expect(status).toBe(0)

  const listed = new Set(result.files.map(({ file }) => file))
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
  const claims = files.filter((file) =>
    /Original: (?:mlx_lm|src\/transformers)/u.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(claims.length).toBeGreaterThan(10)
  expect(claims.filter((file) => !listed.has(file))).toEqual([])
  const models = files.filter((file) => file.startsWith('src/models/'))
  const unlisted = models.filter((file) => !listed.has(file) && !file.endsWith('/tests.rs'))
  expect(unlisted.toSorted()).toEqual(
    [
      'common/mod',
      'config',
      'generation_config',
      'mod',
      'normalize',
      'pace',
      'rotary',
      'settings',
    ].map((name) => `src/models/${name}.rs`),
  )
})

test('the release of transformers that was ported is the one that mlx-lm is compared with', () => {
  const requirements = readFileSync(join(root, 'tools/parity/requirements.txt'), 'utf8')
  const pinned = /^transformers==(?<version>\S+)$/mu.exec(requirements)?.groups?.['version']
  const { files } = runJson(root).result
  const ported = files.filter(({ upstream }) => upstream === 'transformers')
  expect(new Set(ported.map(({ revision }) => revision))).toEqual(new Set([`v${pinned}`]))
})
