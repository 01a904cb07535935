// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Finds everything in the repository that can be run: programs, npm scripts, cargo targets, commands in documents.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { root } from './models'

const SCRIPT = /\.(?:[cm]?[jt]s|py|sh)$|^\.ci\/run$/u
/** Run by Vitest; the package itself, which has its own tests; and what comes with a Python package's modules. */
const NO_SCRIPT = /\.spec\.ts$|^index\.(?:js|d\.ts)$|^lib\/|__init__\.py$/u
const JS_PROGRAM = /^#!|\bprocess\.argv\b|\bawait script\(/u
const PY_PROGRAM = /^#!|^if __name__ == "__main__"/mu

const JS_IMPORT = /(?:\bfrom|\bimport|\bimport\() ?'(\.[^']+)'/gu
const PY_IMPORT = /^ *(?:from ([\w.]+) )?import (\([^)]*\)|[\w, ]+)/gmu

/** What a command in a document begins with, after variables. */
const COMMAND =
  /^(?:[A-Z_]+=\S+ )*(?:(?:npm|npx|node|cargo|pip3?|python3?|git|bash|sh|curl|rustup|\S+\/python|node-mlx) \S|\.ci\/run\b)/u
const SHELLS = new Set(['', 'sh', 'bash', 'shell', 'console'])

/** Files of the repository, also those that are not committed yet. */
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)))

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

export interface Scripts {
  programs: string[]
  /** Each with the files that import it. */
  modules: Map<string, string[]>
}

/** A script is a program if it looks like one, or if no other imports it. */
export function findScripts(): Scripts {
  const scripts = files.filter((file) => SCRIPT.test(file) && !NO_SCRIPT.test(file))
  const importers = new Map(scripts.map((script) => [script, [] as string[]]))
  for (const file of files.filter((one) => SCRIPT.test(one)))
    for (const imported of importsOf(file, scripts))
      if (imported !== file) importers.get(imported)?.push(file)
  const isProgram = (script: string): boolean =>
    importers.get(script)?.length === 0 ||
    basename(script) === '__main__.py' ||
    (script.endsWith('.py') ? PY_PROGRAM : JS_PROGRAM).test(read(script))
  return {
    programs: scripts.filter(isProgram),
    modules: new Map([...importers].filter(([script]) => !isProgram(script))),
  }
}

function importsOf(file: string, scripts: string[]): string[] {
  if (file.endsWith('.py')) return pythonImports(file, scripts)
  return [...read(file).matchAll(JS_IMPORT)].flatMap(([, path = '']) => {
    const target = normalize(join(dirname(file), path))
    return scripts.filter((script) => script === target || script === `${target}.ts`)
  })
}

/** Modules lie in the same folder, in one of its packages, or in a folder that is put on Python's path. */
function pythonImports(file: string, scripts: string[]): string[] {
  return [...read(file).matchAll(PY_IMPORT)].flatMap(([, from = '', names = '']) => {
    const imported = names.split(/[\s,()]+/u).map((name) => (from ? `${from}.${name}` : name))
    return [from, ...imported].flatMap((name) => {
      const path = name.replace(/^\.+/u, '').replaceAll('.', '/')
      if (path === '') return []
      const ends = [`/${path}.py`, `/${path}/__init__.py`]
      return scripts.filter((script) => ends.some((end) => script.endsWith(end)))
    })
  })
}

/** `npm run NAME`, with what it runs. */
export function findNpmScripts(): Map<string, string> {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const short = new Set(['start', 'test'])
  return new Map(
    Object.entries(scripts).map(([name, text]) => [
      short.has(name) ? `npm ${name}` : `npm run ${name}`,
      text,
    ]),
  )
}

/** `cargo --example NAME` and so on, of every Cargo.toml. */
export function findCargoTargets(): string[] {
  return files
    .filter((file) => basename(file) === 'Cargo.toml')
    .flatMap((file) =>
      [...read(file).matchAll(/^\[\[(\w+)\]\]\s+name = "([^"]+)"/gmu)].map(
        ([, kind, name]) => `cargo --${kind} ${name}`,
      ),
    )
}

/** Commands in code of Markdown files, each with the files that name it. */
export function findDocumentedCommands(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of files.filter((one) => one.endsWith('.md')))
    for (const command of commandsIn(read(file)))
      found.set(command, [...new Set([...(found.get(command) ?? []), file])])
  return found
}

/** The commands in the code of a Markdown text: in fences, indented, or in a line of prose. */
export function commandsIn(markdown: string): string[] {
  const fences = /^```(\w*)[^`\n]*\n([\s\S]*?)^```/gmu
  const blocks = [...markdown.matchAll(fences)].filter(([, language = '']) => SHELLS.has(language))
  const prose = markdown.replaceAll(fences, '')
  const indented = [...prose.matchAll(/^ {4}(.*)$/gmu)].map(([, line = '']) => line)
  const inline = [...prose.matchAll(/(?<!`)`([^`]+)`/gu)].map(([, code = '']) => code)
  const lines = blocks.flatMap(([, , text = '']) => text.replaceAll('\\\n', ' ').split('\n'))
  return [...lines, ...indented, ...inline]
    .flatMap((line) => line.replace(/\s#\s.*$/u, '').split('&&'))
    .map((line) =>
      line
        .replace(/^\s*\$ /u, '')
        .replaceAll(/\s+/gu, ' ')
        .trim(),
    )
    .filter((line) => COMMAND.test(line))
}
