// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `node-mlx doctor`, on the checkout and on installations that are broken.

import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { devices, mlxVersion, version } from 'node-mlx'
import { expect, test } from 'vitest'
import type { Report } from '../lib/doctor'
import { root, scratch } from './helpers/models'
import { NODE, runProgram } from './helpers/run-program'

const CLI = 'dist/cli/bin.js'
const addonName = readdirSync(root).find((name) => /^node-mlx\..*\.node$/u.test(name)) ?? ''
const library = readdirSync(root).find((name) => /^(?:lib)?mlx\.(?:so|dylib|dll)$/u.test(name))
const TINY = [
  'gemma3_text-4bit',
  'gpt_oss-mxfp4',
  'llama-3bit',
  'qwen3-4bit',
  'qwen3-bf16',
  'qwen3_5-4bit',
  'qwen3_moe-4bit',
]
const NAMES = [
  ...['f32', 'bf16', '4 bits'].map((format) => `product, ${format}`),
  ...TINY.map((name) => `model ${name}`),
  'demo-sized model',
]

/** The package in a folder of its own, without an addon. */
function install(): string {
  const folder = mkdtempSync(join(scratch(), 'doctor-'))
  for (const name of ['dist', 'index.js', 'package.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true })
  return folder
}

async function diagnose(
  folder: string,
  status: number,
  env: NodeJS.ProcessEnv = {},
): Promise<Report> {
  const args = [join(folder, CLI), 'doctor', '--json']
  const { stdout, stderr } = await runProgram(NODE, args, { status, env })
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Report
}

/** The variable by which napi's loader takes an addon from elsewhere. */
const from = (path: string) => ({ NAPI_RS_NATIVE_LIBRARY_PATH: path })

/** Takes the addon with something before it, or in its place. */
function instead(before: string, changes = ''): NodeJS.ProcessEnv {
  const path = join(mkdtempSync(join(scratch(), 'addon-')), 'addon.js')
  const addon = `require(${JSON.stringify(join(root, addonName))})`
  writeFileSync(path, `${before}\nmodule.exports = { ...${addon}, ${changes} }`)
  return from(path)
}

test('a whole installation passes, and the report has what one asks for first', async () => {
  const env = { HOME: root, USERPROFILE: root, NODE_MLX_THREADS: '1', NODE_MLX_API_KEY: 'secret' }
  const report = await diagnose(root, 0, env)
  expect(report).toMatchObject({ passed: true, version, installation: { mlxVersion } })
  expect(report.machine.environment).toEqual({ NODE_MLX_THREADS: '1' })
  expect(report.machine).toMatchObject({
    system: expect.stringContaining(process.arch) as string,
    runtime: `Node.js ${process.versions.node}`,
  })
  expect(report.installation?.devices).toEqual(devices())
  const { files = [] } = report.installation ?? {}
  expect(files.map((file) => basename(file))).toEqual(expect.arrayContaining([addonName, library]))
  expect(files).toContain(join('~', addonName))
  const passed = report.checks.filter(({ status }) => status === 'passed')
  expect(passed.map(({ name, device }) => [device, name])).toEqual([
    [undefined, 'installation'],
    ...devices().flatMap((device) => NAMES.map((name) => [device, name])),
  ])
  for (const { values = {} } of report.checks.filter(({ name }) => name === 'demo-sized model'))
    expect(values).toMatchObject({
      loadSeconds: expect.any(Number) as number,
      memoryBefore: expect.any(Number) as number,
      memoryWithModel: expect.any(Number) as number,
      memoryAfter: expect.any(Number) as number,
    })
  const others = report.checks.filter(({ status }) => status !== 'passed')
  expect(others.map(({ device, status }) => [device, status])).toEqual(
    devices().includes('gpu') ? [] : [['gpu', 'skipped']],
  )
})

test('wrong numbers fail, with how wrong they are, and nothing else does', async () => {
  const folder = install()
  const path = join(folder, 'dist/doctor/models/qwen3-4bit/model.safetensors')
  const weights = readFileSync(path)
  // One of the numbers of the last matrix.
  writeFileSync(path, weights.fill(0, weights.length - 64))
  // The products have all results but one.
  const env = instead(`
      const { prototype } = require(${JSON.stringify(join(root, addonName))}).NativeModel
      const { read } = prototype
      prototype.read = function (...args) {
        const reading = read.apply(this, args)
        const change = (rows) => (rows[3].fill(0, 1023), rows)
        return { result: async () => change(await reading.result()), cancel() {} }
      }
    `)
  const args = [join(folder, CLI), 'doctor']
  const { stdout } = await runProgram(NODE, args, { status: 1, env })
  const failed = [...NAMES.slice(0, 3), 'model qwen3-4bit']
  expect(stdout.match(/^FAILED.*$/gmu)).toEqual(
    devices().flatMap((device) =>
      failed.map((name) => {
        const line = `^FAILED +${device}: ${name} +wrong numbers: (?:relative |mean )?error [\\d.]+ \\(at most`
        return expect.stringMatching(new RegExp(line, 'u')) as string
      }),
    ),
  )
  expect(stdout).toMatch(/^node-mlx +\d+\.\d+\.\d+$/mu)
  expect(stdout).toMatch(/^chip +\S.*, \d+ cores$/mu)
  expect(stdout).toMatch(new RegExp(`^file +\\S.*${addonName.replaceAll('.', '\\.')}$`, 'mu'))
  expect(stdout).toMatch(
    /^ok +cpu: demo-sized model +loaded in [\d.]+ s, prompt \d+ tokens\/s, answer \d+ tokens\/s, .* MB before, /mu,
  )
  expect(stdout).toMatch(/^\d+ failed, \d+ passed, \d+ skipped$/mu)
})

test('a missing library is named', async () => {
  const folder = install()
  copyFileSync(join(root, addonName), join(folder, addonName))
  const { passed, installation, checks } = await diagnose(folder, 1)
  expect({ passed, installation }).toEqual({ passed: false, installation: undefined })
  const skipped = { name: 'device', status: 'skipped', detail: 'the addon does not load' }
  expect(checks).toEqual([
    {
      name: 'installation',
      status: 'failed',
      detail: expect.stringMatching(/^ERR_BINARY_MISSING: .*does not load: .*mlx/u) as string,
    },
    { ...skipped, device: 'gpu' },
    { ...skipped, device: 'cpu' },
  ])
})

test('a platform without a package is named', async () => {
  const preload = join(mkdtempSync(join(scratch(), 'plan9-')), 'plan9.cjs')
  writeFileSync(preload, "Object.defineProperty(process, 'platform', { value: 'plan9' })")
  const env = { NODE_OPTIONS: `--require "${preload.replaceAll('\\', '/')}"` }
  const { checks, machine } = await diagnose(root, 1, env)
  expect(checks[0]?.detail).toContain(
    `ERR_BINARY_MISSING: node-mlx has no working binary for plan9-${process.arch}`,
  )
  expect(machine.system).toContain('plan9')
})

test('a crash ends no report', async () => {
  const env = instead("console.error('out of luck'); process.kill(process.pid, 'SIGKILL')")
  const { checks } = await diagnose(root, 1, env)
  expect(checks[0]).toEqual({
    name: 'installation',
    status: 'failed',
    detail: 'the process ended with SIGKILL: out of luck',
  })
})

test('a crash during a check fails that one', async () => {
  const env = instead('', "load: () => process.kill(process.pid, 'SIGKILL')")
  const { checks } = await diagnose(root, 1, env)
  const failed = checks.filter(({ status }) => status === 'failed')
  expect(failed).toEqual(
    devices().map((device) => {
      const detail = 'the process ended with SIGKILL'
      return { name: 'product, f32', device, status: 'failed', detail }
    }),
  )
})

test('a check that does not end fails', async () => {
  const program =
    "require('./dist/doctor').diagnose({ maxCheckMs: 3000 }).then(({ checks }) => console.log(checks[0].detail))"
  const { stdout } = await runProgram(NODE, ['-e', program], { env: instead('for (;;) {}') })
  expect(stdout).toBe('no result within 3 s\n')
})

test('an addon of another version is named', async () => {
  const { checks } = await diagnose(
    root,
    1,
    instead('', "version: () => '0.0.1', devices: () => []"),
  )
  expect(checks[0]?.detail).toBe(
    `the addon is of version 0.0.1, the package of ${version}: install again`,
  )
})

test.runIf(process.platform === 'linux')('a libmlx from elsewhere is named', async () => {
  const copy = join(mkdtempSync(join(scratch(), 'libmlx-')), 'libmlx.so')
  copyFileSync(join(root, 'libmlx.so'), copy)
  // Loaded first, it stands for all libraries of its name.
  const before = `try { process.dlopen({ exports: {} }, '${copy}', 0x1002) } catch {}`
  const env = { ...instead(before, 'devices: () => []'), LD_LIBRARY_PATH: root }
  const { checks, machine } = await diagnose(root, 1, env)
  expect(checks[0]?.detail).toBe(`${copy} was loaded instead of the one beside the addon`)
  expect(machine.environment).toHaveProperty('LD_LIBRARY_PATH')
})

test('doctor takes no arguments', async () => {
  const { stderr } = await runProgram(NODE, [CLI, 'doctor', 'x'], { status: 1 })
  expect(stderr).toBe('node-mlx: doctor takes no arguments\n')
})
