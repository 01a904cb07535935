// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run test:electron`: the package in a real Electron under Xvfb, as a folder and packed in an asar archive.
// `npm run test:electron -- page quit`: the cases with these names. Screenshots are left in target/electron/shots.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, run, script } from '../../scripts/shared.mjs'
import { folder, installElectron, withDisplay } from './electron.mjs'
import { installPackage } from './install.mjs'

const ASAR = '@electron/asar@3.4.1'
const SECONDS = 120
const MODEL = join(root, 'models/demo')

/** The line of docs/guide/electron.md, and what Forge's plugin auto-unpack-natives does without it. */
const OUR_LINE = '**/node_modules/{node-mlx,node-mlx-*}/**/*'
const NATIVES = '**/{.**,**}/**/*.node'

/** The forms of an app, with the glob of what its archive does not hold. */
const FORMS = {
  folder: { cases: ['main', 'host', 'limit', 'page', 'quit'] },
  'archive-natives': { unpack: NATIVES, cases: ['missing'] },
  'archive-our-line': {
    unpack: `{${OUR_LINE},${NATIVES}}`,
    cases: ['main', 'host', 'page', 'packedModel', 'quit'],
  },
}

await script(async () => {
  const wanted = process.argv.slice(2)
  prepare()
  const electron = installElectron()
  const app = stageApp()
  const failed = []
  await withDisplay(async (env) => {
    for (const [form, { unpack, cases }] of Object.entries(FORMS)) {
      const chosen = cases.filter((name) => wanted.length === 0 || wanted.includes(name))
      if (chosen.length === 0) continue
      place(app, join(electron, 'resources'), unpack)
      const shots = join(folder, 'shots', form)
      mkdirSync(shots, { recursive: true })
      for (const name of chosen) {
        const start = performance.now()
        const problem = await runCase(electron, { ...env, MODEL, CASE: name, SHOTS: shots })
        const seconds = ((performance.now() - start) / 1000).toFixed(1)
        console.log(`${problem ? '✗' : '✓'} ${form}: ${name} (${problem || `${seconds} s`})`)
        if (problem) failed.push(`${form}: ${name}`)
      }
    }
  })
  if (failed.length > 0) throw new Failure(`failed: ${failed.join(', ')}`)
})

/** The app of the cases, with node-mlx and a model. */
function stageApp() {
  const app = join(folder, 'app')
  rmSync(app, { recursive: true, force: true })
  cpSync(join(import.meta.dirname, 'app'), app, { recursive: true })
  installPackage(app)
  cpSync(join(root, '__test__/fixtures/llama'), join(app, 'model'), { recursive: true })
  return app
}

/** Gives Electron the app to run: the folder, or an archive of it. */
function place(app, resources, unpack) {
  rmSync(resources, { recursive: true, force: true })
  mkdirSync(resources)
  if (unpack === undefined) cpSync(app, join(resources, 'app'), { recursive: true })
  else {
    const args = ['pack', app, join(resources, 'app.asar'), '--unpack', unpack]
    run('npx', ['--yes', ASAR, ...args])
  }
}

/** Returns what went wrong: `''` if nothing did. */
async function runCase(electron, env) {
  // A container has neither a sandbox for root nor a GPU.
  const args = ['--no-sandbox', '--disable-gpu', `--user-data-dir=${join(folder, 'user-data')}`]
  const child = spawn(join(electron, 'electron'), args, {
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
    timeout: SECONDS * 1000,
    killSignal: 'SIGKILL',
  })
  let errors = ''
  child.stderr.on('data', (data) => {
    errors += data
  })
  const [status, signal] = await once(child, 'close')
  if (status === 0) return ''
  process.stderr.write(errors)
  return `exit code ${status ?? signal}`
}
