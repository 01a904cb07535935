// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Programs that change the repository, each run in a small copy of it.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { root, scratch } from '../helpers/models'
import { PYTHON3, runProgram } from '../helpers/run-program'

test('npm run build runs napi, tsc and rolldown', async () => {
  const doctor = ['tools/parity/tolerances.json', '__test__/fixtures']
  const folder = makeCopy(['scripts', 'package.json', 'package-lock.json', ...doctor])
  const log = join(folder, 'log')
  write(folder, 'node_modules/.package-lock.json', '')
  for (const tool of ['napi', 'tsc', 'rolldown'])
    writeProgram(folder, `node_modules/.bin/${tool}`, `echo ${tool} "$@" >> ${log}`)
  const env = { CARGO_TARGET_DIR: join(folder, 'target') }
  await runProgram('npm', ['run', 'build'], { cwd: folder, env })
  expect(readFileSync(log, 'utf8')).toMatch(
    /^napi build --platform --release .*\ntsc -p tsconfig\.build\.json\nrolldown lib\/electron\/.*\n$/u,
  )
  expect(existsSync(join(folder, 'target/addon.stamp'))).toBe(true)
  expect(existsSync(join(folder, 'target/dist.stamp'))).toBe(true)
})

test('npm run format formats JavaScript, Rust and Python', async () => {
  const settings = ['package.json', '.prettierrc.json', 'rustfmt.toml', 'ruff.toml']
  const folder = makeCopy(['scripts', ...settings])
  for (const name of ['node_modules', 'target'])
    if (existsSync(join(root, name))) symlinkSync(join(root, name), join(folder, name))
  write(folder, 'ugly.mjs', 'export  const a = "b";')
  write(folder, 'Cargo.toml', '[package]\nname = "ugly"\nedition = "2024"\n')
  write(folder, 'src/lib.rs', 'pub fn  a() {  }')
  write(folder, 'ugly.py', "a  = 'b'")
  await runProgram('npm', ['run', 'format'], { cwd: folder })
  expect(readFileSync(join(folder, 'ugly.mjs'), 'utf8')).toBe("export const a = 'b'\n")
  expect(readFileSync(join(folder, 'src/lib.rs'), 'utf8')).toBe('pub fn a() {}\n')
  expect(readFileSync(join(folder, 'ugly.py'), 'utf8')).toBe('a = "b"\n')
})

test('generate_bindings.py calls bindgen on the headers of mlx-c', async () => {
  const folder = makeCopy(['mlx-sys/generate_bindings.py', 'mlx-sys/upstream'])
  mkdirSync(join(folder, 'mlx-sys/src'))
  const declaration = 'pub fn mlx_pad(mode: *const ::std::os::raw::c_char);'
  writeProgram(
    folder,
    'bin/bindgen',
    `cat "$1" > /dev/null && echo "// of $1" && echo "${declaration}"`,
  )
  const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` }
  await runProgram(PYTHON3, [join(folder, 'mlx-sys/generate_bindings.py')], { env })
  const bindings = readFileSync(join(folder, 'mlx-sys/src/bindings.rs'), 'utf8')
  expect(bindings).toMatch(
    /\n\n\/\/ of .*\/mlx-sys-0\.7\.0\/src\/mlx-c\/mlx\/c\/mlx\.h\npub fn mlx_pad\(mode: \*const i8\);\n$/u,
  )
  const [header = ''] = readFileSync(join(root, 'mlx-sys/src/bindings.rs'), 'utf8').split('\n')
  expect(bindings.startsWith(`${header}\n`)).toBe(true)
})

/** A folder with some of the repository's files and folders. */
function makeCopy(paths: string[]): string {
  const folder = mkdtempSync(join(scratch(), 'copy-'))
  for (const path of paths) cpSync(join(root, path), join(folder, path), { recursive: true })
  return folder
}

function write(folder: string, name: string, content: string): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

function writeProgram(folder: string, name: string, script: string): void {
  chmodSync(write(folder, name, `#!/bin/sh\n${script}\n`), 0o755)
}
