// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Where the packed package must stream an answer. An environment has
// - `folder`: 'app', the default, which has the package from its tarballs and the scripts of app/; 'bundle', a folder in
//   that one with esm.mjs as app.mjs; 'alone', one with the scripts only; 'next', one with Next.js and the package
// - `files`: what is written into the folder first
// - `build`: commands that must succeed
// - `run`: commands each of which must succeed and print `prints`, the answer if there is none; with `says`, one that must
//   fail and print that
// - `env`: environment variables
// A command begins with a name that tools.mjs knows, or with ./ for a program that the build has made.

import { join } from 'node:path'
import { root } from '../../scripts/shared.mjs'
import { bundlers, mistakes } from './bundlers.mjs'
import { denoPermissions } from './guides.mjs'
import { tool } from './tools.mjs'

const SCRIPTS = ['esm.mjs', 'common.cjs', 'worker.mjs']
const PROGRAM = 'node_modules/node-mlx/dist/cli/bin.js'
const CLI = [PROGRAM, '--model', join(root, 'models/demo')]

/**
 * The quick list, a part of `npm test`: the ways to use the package that a change of ours is likely to break, on this
 * Node.js, a second or two each. What needs another runtime, a bundler or another package manager is in the whole list
 * only, which takes minutes, and 1.5 GB of tools.
 */
export const QUICK = {
  ESM: { run: [['node', 'esm.mjs']] },
  CommonJS: { run: [['node', 'common.cjs']] },
  'a worker thread': { run: [['node', 'worker.mjs']] },
  'TypeScript 7, strict': typescript(tool('quick', 'typescript/bin/tsc')),
  Vitest: {
    run: [['node', tool('quick', 'vitest/vitest.mjs'), 'run', 'vitest.test.mjs']],
    prints: /Tests +1 passed/u,
  },
  Jest: { run: [['node', tool('quick', 'jest/bin/jest.js')]], prints: /Tests: +1 passed/u },
  'the command line': { run: [['node', ...CLI, 'What is the capital of France?']] },
  doctor: { run: [['node', PROGRAM, 'doctor']], prints: /^\d+ passed, \d+ skipped$/mu },
}

/** The whole list. `registry`: the address of one that has the package. */
export function wholeList(registry) {
  return {
    ...QUICK,
    'TypeScript 5.4, strict': typescript(tool('all', 'typescript-5.4/bin/tsc')),
    ...runtimes(),
    ...bundlers(),
    ...packageManagers(registry),
    ...mistakes(),
  }
}

function typescript(compiler) {
  return { build: [['node', compiler, '-p', '.']], run: [['node', 'compiled/strict.mjs']] }
}

function runtimes() {
  const compile = ['build', '--compile', '--compile-autoload-package-json']
  return {
    'Node.js 20': scriptsIn('node-20'),
    'Node.js 22': scriptsIn('node-22'),
    'Node.js 24': scriptsIn('node-24'),
    'Node.js 24, with permissions': {
      run: [['node-24', '--permission', '--allow-addons', '--allow-fs-read=*', 'esm.mjs']],
    },
    Bun: scriptsIn('bun'),
    'Bun, compiled': {
      build: [['bun', ...compile, '--external', 'node-mlx', 'esm.mjs', '--outfile', 'program']],
      run: [['./program']],
    },
    Deno: scriptsIn(...deno()),
  }
}

function packageManagers(registry) {
  const berry = tool('all', '@yarnpkg/cli-dist/bin/yarn.js')
  const berryEnv = {
    YARN_ENABLE_TELEMETRY: '0',
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
  }
  const plugAndPlay = {
    folder: 'alone',
    env: { ...berryEnv, YARN_NODE_LINKER: 'pnp' },
    build: [['node', berry, 'add', 'node-mlx']],
  }
  const add = ['add', '--registry', registry, 'node-mlx']
  return {
    npm: {
      folder: 'alone',
      build: [['npm', 'install', '--registry', registry, 'node-mlx']],
      ...scriptsIn('node'),
    },
    pnpm: { folder: 'alone', build: [['pnpm', ...add]], ...scriptsIn('node') },
    'Yarn 1': {
      folder: 'alone',
      build: [['node', tool('all', 'yarn/bin/yarn.js'), ...add]],
      ...scriptsIn('node'),
    },
    'Yarn 4, node_modules': {
      folder: 'alone',
      env: { ...berryEnv, YARN_NODE_LINKER: 'node-modules' },
      build: [['node', berry, 'add', 'node-mlx']],
      ...scriptsIn('node'),
    },
    "Yarn 4, Plug'n'Play": {
      ...plugAndPlay,
      files: { 'package.json': '{ "private": true, "type": "module" }' },
      ...scriptsIn('node', berry, 'node'),
    },
    "Yarn 4, Plug'n'Play, without the type": {
      ...plugAndPlay,
      run: [['node', berry, 'node', 'esm.mjs']],
      says: 'ERR_MODULE_NOT_FOUND',
    },
    'Bun, its packages': { folder: 'alone', build: [['bun', ...add]], ...scriptsIn('bun') },
    'Deno, its packages': {
      folder: 'alone',
      env: { NPM_CONFIG_REGISTRY: registry },
      build: [['deno', 'add', 'npm:node-mlx']],
      ...scriptsIn(...deno()),
    },
  }
}

function deno() {
  return ['deno', 'run', '--no-prompt', ...denoPermissions()]
}

/** Runs every script by a command. */
function scriptsIn(...command) {
  return { run: SCRIPTS.map((script) => command.concat(script)) }
}
