// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Bundles with the package external, with the settings of docs/guide/bundlers.md, and without.

import { codeOf, listedMessage } from './guides.mjs'
import { tool } from './tools.mjs'

const NEXT = 'node_modules/next/dist/bin/next'
const BUNDLE = 'dist/main.mjs'

/** With the documented settings. */
export function bundlers() {
  const guide = (title) => codeOf('bundlers.md', title)
  return {
    esbuild: esbuild(guide('options of esbuild.build')),
    Vite: vite({ 'vite.config.mjs': 'export default {}' }),
    'Vite, dependencies inlined': vite({
      'documented.ts': guide('vite.config.ts'),
      'vite.config.mjs': `
        import documented from './documented'
        export default { ssr: { noExternal: true, ...documented.ssr } }`,
    }),
    'webpack, ES modules': webpack(guide('webpack.config.mjs, with the output as ES modules')),
    'webpack, CommonJS': {
      ...webpack(guide('webpack.config.mjs, with the output as CommonJS')),
      run: [['node', 'dist/main.js']],
    },
    Rollup: {
      folder: 'bundle',
      files: { 'rollup.config.mjs': guide('rollup.config.mjs') },
      build: [['node', tool('all', 'rollup/dist/bin/rollup'), '--config', `--file=${BUNDLE}`]],
      run: [['node', BUNDLE]],
    },
    'Next.js': {
      ...next(guide('next.config.ts')),
      run: [['node', 'ask.mjs', NEXT, 'start', '--hostname', '127.0.0.1']],
    },
    'Next.js, standalone': nextStandalone(guide('next.config.ts, for a standalone server')),
  }
}

/** What the guide's table 'What goes wrong otherwise' lists. */
export function mistakes() {
  // Otherwise app/tsconfig.json makes the bundle strict, which changes a message.
  const bundled = "platform: 'node', bundle: true, tsconfigRaw: '{}'"
  const withLoader = (name) => `export default { ${bundled}, loader: { '.node': '${name}' } }`
  return {
    'esbuild, not external': failsToBuild(
      esbuild(`export default { ${bundled} }`),
      'No loader is configured for ".node" files',
    ),
    'esbuild, not external, with a loader': {
      ...esbuild(withLoader('file')),
      says: listedMessage('Dynamic require of "node:worker_threads" is not supported'),
    },
    'esbuild, not external, with a loader, CommonJS': {
      ...esbuild(withLoader('file'), 'cjs'),
      says: listedMessage('native.claimExit is not a function'),
    },
    'esbuild, not external, the addon copied': {
      ...esbuild(withLoader('copy'), 'cjs'),
      says: listedMessage('ERR_BINARY_MISSING'),
    },
    'webpack, not external': failsToBuild(
      webpack("export default { target: 'node' }"),
      'Module parse failed',
    ),
    'Vite, not external': failsToBuild(
      vite({ 'vite.config.mjs': 'export default { ssr: { noExternal: true } }' }),
      'stream did not contain valid UTF-8',
    ),
    'Next.js, not external': failsToBuild(
      next('export default {}'),
      'non-ecmascript placeable asset',
    ),
  }
}

function failsToBuild({ build, ...rest }, message) {
  return { ...rest, run: build, says: listedMessage(message) }
}

function esbuild(options, format = 'esm') {
  const entry = format === 'esm' ? 'app.mjs' : '../common.cjs'
  const bundle = format === 'esm' ? BUNDLE : 'dist/main.cjs'
  return {
    folder: 'bundle',
    files: { 'options.mjs': options },
    build: [['node', '../esbuild.mjs', format, entry, bundle]],
    run: [['node', bundle]],
  }
}

function vite(files) {
  const args = ['build', '--logLevel=error', '--ssr=app.mjs', '--config=vite.config.mjs']
  return {
    folder: 'bundle',
    files,
    build: [['node', tool('all', 'vite/bin/vite.js'), ...args]],
    run: [['node', 'dist/app.mjs']],
  }
}

function webpack(config) {
  const args = ['--config=webpack.config.mjs', '--mode=production', '--entry=./app.mjs']
  return {
    folder: 'bundle',
    files: { 'webpack.config.mjs': config },
    build: [['node', tool('all', 'webpack-cli/bin/cli.js'), ...args]],
    run: [['node', BUNDLE]],
  }
}

/** The route handler of docs/guide/http.md. */
function next(config) {
  return {
    folder: 'next',
    files: {
      'next.config.ts': config,
      'app/chat/route.ts': codeOf('http.md', 'app/chat/route.ts'),
    },
    env: { NEXT_TELEMETRY_DISABLED: '1' },
    build: [['node', NEXT, 'build']],
  }
}

function nextStandalone(config) {
  const environment = next(config)
  // Away from the packages that it was built with.
  const move = "fs.renameSync('.next/standalone', '../next-standalone')"
  return {
    ...environment,
    build: [...environment.build, ['node', '-e', move]],
    run: [['node', 'ask.mjs', '../next-standalone/server.js']],
  }
}
