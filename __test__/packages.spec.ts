// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Which package the addon is loaded from: fake packages, on a machine that is made to look like another.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root, scratch } from './helpers/models'
import { NODE, runProgram } from './helpers/run-program'

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
}
const CUDA = 'node-mlx-linux-x64-cuda'
const MACOS26 = 'node-mlx-darwin-arm64-macos26'

/** An addon that does what is needed to load the package, and remembers variables. */
const ADDON = `
const missing = { code: 'ERR_DEVICE_UNAVAILABLE', message: 'no gpu', details: { device: 'gpu' } }
exports.variables = {}
exports.setDefaultVariable = (name, value) => (exports.variables[name] = value)
exports.claimExit = () => false
exports.version = () => '0'
exports.mlxVersion = () => '1.2.3'
exports.load = () => ({ result: async () => { throw new Error(JSON.stringify(missing)) }, cancel() {} })
`
const PROGRAM = `
const fs = require('node:fs')
const { platform, arch, kernel, dev, driver, addon } = JSON.parse(process.argv[1])
Object.defineProperties(process, { platform: { value: platform }, arch: { value: arch } })
require('node:os').release = () => kernel
const { readdirSync, readFileSync } = fs
fs.readdirSync = (path, ...rest) => (path === '/dev' ? dev : readdirSync(path, ...rest))
fs.readFileSync = (path, ...rest) =>
  path === '/proc/driver/nvidia/version' ? driver : readFileSync(path, ...rest)
const outcome = async () => {
  const mlx = require('node-mlx')
  const error = await mlx.loadModel('.', { device: 'gpu' }).catch((reason) => reason)
  const { variables } = require(addon === 'own' ? './node_modules/node-mlx/index.js' : addon)
  return { binary: mlx.binary(), variables, message: error.message, unused: error.details.unused }
}
outcome().catch(({ code, message, details }) => ({ code, message, details })).then((found) => {
  console.log(JSON.stringify(found))
})
`

interface Machine {
  platform?: string
  arch?: string
  kernel?: string
  dev?: string[]
  driver?: string
  env?: Record<string, string>
}

interface Found {
  binary: { package: string; unused?: { package: string; reason: string } }
  variables: Record<string, string>
  message: string
  unused?: unknown
  code?: string
  details?: unknown
}

/** Loads node-mlx from a folder with these files, as that machine would. */
async function load(
  files: Record<string, string>,
  { env, ...machine }: Machine,
  addon = 'own',
  cache = scratch(),
): Promise<Found> {
  const folder = mkdtempSync(join(scratch(), 'app-'))
  const own = join(folder, 'node_modules/node-mlx')
  cpSync(join(root, 'dist'), join(own, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(own, 'package.json'))
  for (const [name, text] of Object.entries({ 'node-mlx/index.js': ADDON, ...files })) {
    const path = join(folder, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  const linux = { platform: 'linux', arch: 'x64', kernel: '6.1.0', dev: ['null'], driver: '' }
  const args = ['-e', PROGRAM, JSON.stringify({ ...linux, ...machine, addon })]
  const { stdout } = await runProgram(NODE, args, {
    cwd: folder,
    env: { XDG_CACHE_HOME: cache, CUDA_HOME: '', CUDA_PATH: '', ...env },
  })
  return JSON.parse(stdout) as Found
}

function fake(
  name: string,
  { code = ADDON, as = version, problem = '' } = {},
): Record<string, string> {
  return {
    [`${name}/package.json`]: JSON.stringify({ version: as }),
    [`${name}/index.js`]: code,
    [`${name}/lib/probe.js`]: `module.exports = ${JSON.stringify(problem)}`,
  }
}

const GPU = { dev: ['null', 'nvidia0', 'nvidiactl'] }
const MAC = { platform: 'darwin', arch: 'arm64' }

test('without an extra package, the platform has its own', async () => {
  const { binary, message } = await load({}, GPU)
  expect(binary).toEqual({ package: 'node-mlx-linux-x64-gnu' })
  expect(message).toBe('no gpu')
})

describe('the package for NVIDIA GPUs', () => {
  test('is used with a GPU, and compiles kernels into a folder of the user', async () => {
    const cache = mkdtempSync(join(scratch(), 'cache-'))
    const headers = join(cache, 'node-mlx/cuda-13.2/include')
    mkdirSync(headers, { recursive: true })
    mkdirSync(join(headers, '../lib'))
    writeFileSync(join(headers, 'cuda_fp16.h'), '')
    writeFileSync(join(headers, '../lib/libnvrtc.so.13'), '')
    const found = await load(fake(CUDA), GPU, CUDA, cache)
    expect(found.binary).toEqual({ package: CUDA })
    expect(found.variables).toEqual({
      MLX_PTX_CACHE_DIR: join(cache, 'node-mlx/cuda-kernels/mlx-1.2.3/gpu'),
      CUDA_HOME: dirname(headers),
    })
  })

  test.each([
    ['without a GPU', {}, {}, 'there is no NVIDIA GPU, or no driver for it: /dev has no nvidia0'],
    [
      'with an old driver',
      {},
      { ...GPU, driver: 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu' },
      "CUDA 13 needs NVIDIA's driver 580 or later; this is 550",
    ],
    [
      'with a driver that fails',
      { problem: 'system has unsupported display driver / cuda driver combination' },
      GPU,
      "NVIDIA's driver offers no GPU: system has unsupported display driver / cuda driver combination",
    ],
    [
      'with its GPUs hidden',
      { problem: 'no CUDA-capable device is detected' },
      { ...GPU, env: { CUDA_VISIBLE_DEVICES: '-1' } },
      "NVIDIA's driver offers no GPU: no CUDA-capable device is detected (CUDA_VISIBLE_DEVICES is '-1')",
    ],
    [
      'of another version',
      { as: '0.0.1' },
      GPU,
      `its version is 0.0.1: install ${CUDA}@${version}`,
    ],
    [
      'that does not load',
      { code: "throw new Error('libcudnn.so.9: not found')" },
      GPU,
      "it does not load: libcudnn.so.9: not found; 'npx node-mlx cuda install' downloads NVIDIA's libraries",
    ],
  ])('is not used %s', async (_, options, machine, reason) => {
    const { binary, message, unused } = await load(fake(CUDA, options), machine)
    const expected = { package: CUDA, reason }
    expect(binary).toEqual({ package: 'node-mlx-linux-x64-gnu', unused: expected })
    expect(unused).toEqual(expected)
    expect(message).toBe(`no gpu (${CUDA} is not in use: ${reason})`)
  })

  test('is used with a driver that is new enough, and under Windows', async () => {
    const driver = 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release'
    expect((await load(fake(CUDA), { ...GPU, driver }, CUDA)).binary.package).toBe(CUDA)
    expect((await load(fake(CUDA), { dev: ['dxg'] }, CUDA)).binary.package).toBe(CUDA)
  })
})

test.runIf(process.platform === 'linux').each([
  ['has a GPU', driverSource({}), ''],
  ['fails', driverSource({ status: 803 }), 'error 803'],
  ['has no GPU', driverSource({ count: 0 }), 'error 100'],
  ['is too old', driverSource({ version: 12_080 }), 'it is too old for CUDA 13'],
  ['is something else', 'int cuInit(void) { return 0; }', "libcuda.so.1 is not NVIDIA's"],
  [
    'cannot be loaded',
    undefined,
    expect.stringMatching(/libcuda\.so\.1: file too short/u) as string,
  ],
])('the package asks the driver, which %s', async (_, source, problem) => {
  const folder = mkdtempSync(join(scratch(), 'driver-'))
  const [probe, library] = [join(folder, 'probe.node'), join(folder, 'libcuda.so.1')]
  const program = `import('./scripts/packages.mjs').then(({ compile }) => compile('probe.c', process.argv[1]))`
  await runProgram(NODE, ['-e', program, probe])
  writeFileSync(source === undefined ? library : `${library}.c`, source ?? '')
  if (source !== undefined)
    await runProgram('cc', ['-shared', '-fPIC', `${library}.c`, '-o', library])
  const print = 'console.log(JSON.stringify(require(process.argv[1])))'
  const { stdout } = await runProgram(NODE, ['-e', print, probe], {
    env: { LD_LIBRARY_PATH: folder },
  })
  expect(JSON.parse(stdout)).toEqual(problem)
})

test.each([
  ['26.2', '25.2.0', true],
  ['27.0', '26.0.0', true],
  ['26.1', '25.1.0', false],
  ['15.6', '24.6.0', false],
])('on macOS %s (kernel %s), the package for macOS 26 is used: %s', async (_, kernel, isUsed) => {
  const found = await load(fake(MACOS26), { ...MAC, kernel }, isUsed ? MACOS26 : 'own')
  const unused = { package: MACOS26, reason: 'it needs macOS 26.2 or later' }
  expect(found.binary).toEqual(
    isUsed ? { package: MACOS26 } : { package: 'node-mlx-darwin-arm64', unused },
  )
})

test('a package that is installed but does not load is told from one that is missing', async () => {
  const own = 'node-mlx-linux-x64-gnu'
  const files = {
    ...fake(CUDA),
    'node-mlx/index.js': readFileSync(join(root, 'index.js'), 'utf8'),
    [`${own}/package.json`]: JSON.stringify({ version, main: 'addon.node' }),
  }
  const broken = await load({ ...files, [`${own}/addon.node`]: 'no library' }, {})
  expect(broken.code).toBe('ERR_BINARY_MISSING')
  const { reason } = broken.details as { reason: string }
  expect(reason).toContain('addon.node')
  expect(broken.message).toBe(
    `node-mlx has no working binary for linux-x64: the package ${own} is installed, but does not load: ${reason}`,
  )
  expect(broken.details).toEqual({
    platform: 'linux-x64',
    package: own,
    reason,
    unused: { package: CUDA, reason: expect.stringContaining('no NVIDIA GPU') as string },
  })

  const missing = await load(files, {})
  expect(missing.message).toContain(`: install the package ${own} (run npm install without`)
})

test('on Windows, the error of a package that does not load says what it needs', async () => {
  const own = 'node-mlx-win32-x64-msvc'
  const files = {
    'node-mlx/index.js': readFileSync(join(root, 'index.js'), 'utf8'),
    [`${own}/package.json`]: JSON.stringify({ version, main: 'addon.node' }),
    [`${own}/addon.node`]: 'no library',
  }
  const { message } = await load(files, { platform: 'win32' })
  expect(message).toContain(`the package ${own} is installed, but does not load`)
  expect(message).toMatch(/\(it needs Microsoft's Visual C\+\+ Redistributable, https:\S+\)$/u)
})

/** The source of a driver of NVIDIA's. */
function driverSource({ version: cuda = 13_000, status = 0, count = 1 }): string {
  return `
    #include <stdio.h>
    static char text[16];
    int cuDriverGetVersion(int *version) { *version = ${cuda}; return 0; }
    int cuInit(unsigned flags) { return flags == 0 ? ${status} : 1; }
    int cuDeviceGetCount(int *count) { *count = ${count}; return 0; }
    int cuGetErrorString(int error, const char **message) {
      sprintf(text, "error %d", error);
      *message = text;
      return 0;
    }
  `
}
