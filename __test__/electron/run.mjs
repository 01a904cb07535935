// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `npm run test:electron`: the package in a real Electron under Xvfb, as a folder and packed in an asar archive, and the
// templates of examples/ as their own tools package them. `npm run test:electron -- page quit`: the cases with these
// names. Screenshots are left in target/electron/shots.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from '../../scripts/prepare.mjs'
import { Failure, root, run, script } from '../../scripts/shared.mjs'
import { folder, installElectron, withDisplay } from './electron.mjs'
import { installPackage } from './install.mjs'
import { packageForge, packageVite } from './templates.mjs'

const ASAR = '@electron/asar@3.4.1'
const SECONDS = 120
const MODEL = join(root, 'models/demo')

/** The line of docs/guide/electron.md, and what Forge unpacks without it. */
const OUR_LINE = '**/node_modules/{node-mlx,node-mlx-*}/**/*'
const NATIVES = '**/{.**,**}/**/*.node'

/** The forms of an app: how each is made, which returns its program, and its cases. */
const FORMS = {
  folder: { make: placeFolder, cases: ['main', 'host', 'limit', 'page', 'quit'] },
  'archive-natives': { make: placeArchive(NATIVES), cases: ['missing'] },
  'archive-our-line': {
    // As Forge's plugin auto-unpack-natives joins them.
    make: placeArchive(`{${OUR_LINE},${NATIVES}}`),
    cases: ['main', 'host', 'page', 'packedModel', 'quit'],
  },
  vite: { make: packageVite, cases: ['template'] },
  forge: { make: packageForge, cases: ['template'] },
}

await script(async () => {
  const wanted = process.argv.slice(2)
  prepare()
  const electron = installElectron()
  const failed = []
  await withDisplay(async (env) => {
    for (const [form, { make, cases }] of Object.entries(FORMS)) {
      const chosen = cases.filter((name) => wanted.length === 0 || wanted.includes(name))
      if (chosen.length === 0) continue
      const program = make(electron, emptyResources(electron))
      const shots = join(folder, 'shots', form)
      mkdirSync(shots, { recursive: true })
      for (const name of chosen) {
        const start = performance.now()
        const problem = await runCase(program, { ...env, MODEL, CASE: name, SHOTS: shots })
        const seconds = ((performance.now() - start) / 1000).toFixed(1)
        console.log(`${problem ? '✗' : '✓'} ${form}: ${name} (${problem || `${seconds} s`})`)
        if (problem) failed.push(`${form}: ${name}`)
      }
    }
  })
  if (failed.length > 0) throw new Failure(`failed: ${failed.join(', ')}`)
})

function placeFolder(electron, resources) {
  cpSync(stageApp(), join(resources, 'app'), { recursive: true })
  return join(electron, 'electron')
}

/** `unpack`: the glob of what the archive does not hold. */
function placeArchive(unpack) {
  return (electron, resources) => {
    const archive = join(resources, 'app.asar')
    run('npx', ['--yes', ASAR, 'pack', stageApp(), archive, '--unpack', unpack])
    return join(electron, 'electron')
  }
}

function emptyResources(electron) {
  const resources = join(electron, 'resources')
  rmSync(resources, { recursive: true, force: true })
  mkdirSync(resources)
  return resources
}

/** The app of the cases, with node-mlx and a model. */
function stageApp() {
  const app = join(folder, 'app')
  rmSync(app, { recursive: true, force: true })
  cpSync(join(import.meta.dirname, 'app'), app, { recursive: true })
  installPackage(app)
  cpSync(join(root, '__test__/fixtures/llama'), join(app, 'model'), { recursive: true })
  return app
}

/** Returns what went wrong: `''` if nothing did. */
async function runCase(program, env) {
  // A container has neither a sandbox for root nor a GPU.
  const args = ['--no-sandbox', '--disable-gpu', `--user-data-dir=${join(folder, 'user-data')}`]
  const child = spawn(program, args, {
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
