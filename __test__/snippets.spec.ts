// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The code in README.md and docs/ compiles, runs, and names commands that exist.

import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { downloadModel } from 'node-mlx'
import { beforeAll, expect, test } from 'vitest'
import { embedderFolder, reranker } from './helpers/embedders'
import { commandsIn, read } from './helpers/find-commands'
import { folderFiles, startHub } from './helpers/hub-server'
import { demoModel, root } from './helpers/models'
import { NODE, runProgram } from './helpers/run-program'
import { compile, documents, fencesOf, MODEL, modulesOf } from './helpers/snippets'

/** Inside the package, so that the modules find it by its name. */
const folder = join(root, 'target/snippets')
const cli = join(root, 'dist/cli/bin.js')
const bundler = (program: string): string => join(root, 'node_modules', program)

/** Languages whose code is tested nowhere, and why. */
const UNTESTED: Record<string, string> = {
  text: 'what a program prints',
  yaml: 'settings of packagers for Electron, which are not installed here',
  rust: 'a file header with placeholders, which tools/port-status.mjs checks in every ported file',
}

const all = documents()
const fences = all.flatMap(fencesOf)
const modules = all.flatMap(modulesOf)
const running = modules.filter(({ flags }) => flags.includes('run'))
const commands = all
  .flatMap((document) => commandsIn(fencesOf(document).filter(isShell).map(toMarkdown).join('\n')))
  .filter((command) => command.includes('npx node-mlx'))

test('every fence is of a kind that is tested', () => {
  const marks = all.flatMap((document) => read(document).match(/^ *```/gmu) ?? [])
  expect(marks).toHaveLength(2 * fences.length)
  const kinds = new Set(['js', 'ts', 'sh', 'json', ...Object.keys(UNTESTED)])
  expect(fences.filter(({ language }) => !kinds.has(language))).toEqual([])
  const flags = new Set(['run', 'continues'])
  expect(fences.filter((fence) => !fence.flags.every((flag) => flags.has(flag)))).toEqual([])
  for (const { language, code } of fences) if (language === 'json') JSON.parse(code)
})

test('every line of a shell fence is a command that programs/table.spec.ts looks up', () => {
  for (const { at, code } of fences.filter(isShell)) {
    const lines = code.replaceAll('\\\n', ' ').split('\n')
    const others = lines.filter((line) => !/^\s*(?:#|$)/u.test(line) && !isCommand(line))
    expect(others, at).toEqual([])
  }
})

let problems = ''

beforeAll(async () => {
  problems = await compile(modules, folder)
})

test('the code compiles strictly', () => {
  expect(modules.length).toBeGreaterThan(20)
  expect(problems).toBe('')
})

test('the code that is marked runs', async () => {
  const names = running.map(({ name }) => name)
  const main = names.map((name) => `console.log('\\n# ${name}'); await import('./${name}.mjs')\n`)
  writeFileSync(join(folder, 'out/main.mjs'), main.join(''))
  const { env } = await startDemoHub()
  const { stdout, stderr } = await runProgram(NODE, [join(folder, 'out/main.mjs')], { env })
  expect(stderr).toBe('')
  const printed = new Map(
    stdout.split(/^# /mu).map((text) => [text.split('\n')[0], text.replace(/^.*\n/u, '')]),
  )
  expect(names.filter((name) => !printed.get(name)?.trim())).toEqual([])
})

test('the commands of the package run', async () => {
  const { env, options } = await startDemoHub()
  await downloadModel(MODEL, options)
  expect(commands.length).toBeGreaterThan(5)
  for (const command of commands) {
    const ours = command.replace('npx node-mlx', `"${NODE}" "${cli}"`)
    await runProgram(ours, [], { env, shell: true })
  }
})

test('with the settings of the guide, Vite and Rolldown make bundles that run', async () => {
  const config = (name: string): string =>
    `${modules.find(({ source }) => source.includes(`// ${name}.config.`))?.name}.mjs`
  const cwd = join(folder, 'out')
  copyFileSync(join(cwd, `${modules[0]?.name}.mjs`), join(cwd, 'app.mjs'))
  const vite = ['build', '--logLevel=error', '--ssr=app.mjs', '--outDir=vite']
  await runProgram(NODE, [bundler('vite/bin/vite.js'), ...vite, '--config', config('vite')], {
    cwd,
  })
  const rolldown = ['--dir=rolldown', '--entry-file-names=[name].mjs']
  await runProgram(
    NODE,
    [bundler('rolldown/bin/cli.mjs'), ...rolldown, '--config', config('rollup')],
    { cwd },
  )
  const { env } = await startDemoHub()
  for (const bundle of ['vite/app.mjs', 'rolldown/app.mjs']) {
    const { stdout } = await runProgram(NODE, [join(cwd, bundle)], { env })
    expect(stdout).toContain('Paris')
  }
})

/** A Hub on which every model that the documents name is the demo model, a tiny embedder or a tiny reranker. */
async function startDemoHub() {
  const files = folderFiles(demoModel)
  const hub = await startHub(files)
  const ids = fences.flatMap(({ code }) => code.match(/\b(?:mlx-community|Qwen)\/[\w.-]+/gu) ?? [])
  const filesOf = (id: string) =>
    id.includes('Embedding')
      ? folderFiles(embedderFolder('last'))
      : id.includes('Reranker')
        ? folderFiles(reranker)
        : files
  hub.others = Object.fromEntries(ids.map((id) => [id, filesOf(id)]))
  const outer = Object.entries(process.env).filter(([name]) => !name.startsWith('HF_'))
  const { endpoint, cacheDir } = hub.options
  const env = {
    ...Object.fromEntries(outer),
    HF_ENDPOINT: endpoint,
    HF_HUB_CACHE: cacheDir,
    HF_HUB_DISABLE_IMPLICIT_TOKEN: '1',
  }
  return { env, options: hub.options }
}

function isShell({ language }: { language: string }): boolean {
  return language === 'sh'
}

function toMarkdown({ code }: { code: string }): string {
  return `\`\`\`sh\n${code}\`\`\``
}

function isCommand(line: string): boolean {
  return commandsIn(`\`\`\`sh\n${line}\n\`\`\``).length > 0
}
