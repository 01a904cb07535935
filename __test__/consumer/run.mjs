// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Installs the packed tarballs as a user would, and streams an answer in every environment of the quick list, which is
// part of `npm test`. `npm run test:consumer`: the whole list; `npm run test:consumer -- Bun Deno`: these of it. With
// `--packed`, the tarballs are those in target/packages; without, they are made first.
// Nothing but node is on the PATH: no compiler, no Python.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, root, run, script } from '../../scripts/shared.mjs'
import { ownTarballs, packages } from '../../scripts/tarballs.mjs'
import { bareEnvironment, execute } from './commands.mjs'
import { QUICK, wholeList } from './environments.mjs'
import { makeFolders } from './folders.mjs'
import { startRegistry } from './registry.mjs'
import { findProgram, installTools, platform } from './tools.mjs'

const ANSWER = /Paris/u

await script(async () => {
  const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
  const all = process.argv.includes('--all')
  if (!process.argv.includes('--packed')) run(process.execPath, [join(root, 'scripts/pack.mjs')])
  installTools('quick')
  if (all) installTools('all')
  const base = mkdtempSync(join(tmpdir(), 'node-mlx-consumer-'))
  const { server, address } = await startRegistry(packages)
  try {
    const list = all ? wholeList(address) : QUICK
    const unknown = names.filter((name) => !Object.hasOwn(list, name))
    if (unknown.length > 0) throw new Failure(`no such environment: ${unknown.join(', ')}`)
    const chosen = names.length > 0 ? names : Object.keys(list)
    const outer = bareEnvironment(base)
    const folderOf = makeFolders(base, (folder) => installTarballs(folder, address, outer))
    const failed = []
    for (const name of chosen)
      if (!(await passes(name, list[name], folderOf, outer))) failed.push(name)
    if (failed.length > 0) throw new Failure(`failed: ${failed.join(', ')}`)
  } finally {
    server.close()
    rmSync(base, { recursive: true, force: true })
  }
})

/** Prints what became of an environment. */
async function passes(name, environment, folderOf, outer) {
  const commands = [...(environment.build ?? []), ...environment.run]
  const missing = commands.map(([program]) => program).find((program) => !findProgram(program))
  if (missing !== undefined) {
    console.log(`- ${name}: left out, as npm has no ${missing} for ${platform}`)
    return true
  }
  const start = performance.now()
  const cwd = await folderOf(name, environment)
  const problem = await findProblem(environment, { cwd, env: { ...outer, ...environment.env } })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(problem ? `✗ ${name}: ${problem}` : `✓ ${name} (${seconds} s)`)
  return problem === ''
}

/** Runs an environment's commands. Returns what the first printed that does not do what it must: '' if all do. */
async function findProblem({ build = [], run: commands, prints = ANSWER, says }, options) {
  for (const command of [...build, ...commands]) {
    const { succeeded, output } = await execute(command, options)
    const isRight = build.includes(command)
      ? succeeded
      : says === undefined
        ? succeeded && prints.test(output)
        : !succeeded && output.includes(says)
    if (!isRight) return `${command.join(' ')}\n${output}`
  }
  return ''
}

/** As README says. The registry is for the packages that npm looks up although they are there. */
async function installTarballs(folder, registry, env) {
  const command = ['npm', 'install', '--registry', registry, ...ownTarballs()]
  const { succeeded, output } = await execute(command, { cwd: folder, env })
  if (!succeeded) throw new Failure(`${command.join(' ')}\n${output}`)
}
