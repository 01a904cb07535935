// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Packages the templates of examples/ with their own configuration, for the Electron of these tests.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Failure, root, run } from '../../scripts/shared.mjs'
import { folder, VERSION } from './electron.mjs'
import { installPackage } from './install.mjs'

const QUIET = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']

/** Returns the program that Electron Forge makes of its template. */
export function packageForge(electron) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 13))
    throw new Failure('Electron Forge 8 needs Node 22.13 or later')
  const stage = stageTemplate('electron-forge', 'driver.cjs')
  // Forge finds Electron here, and takes the program from a zip instead of GitHub.
  writeJson(join(stage, 'node_modules/electron'), { name: 'electron', version: VERSION })
  const zips = zipElectron(electron)
  renameSync(join(stage, 'forge.config.js'), join(stage, 'template.config.js'))
  writeFileSync(
    join(stage, 'forge.config.js'),
    `const config = require('./template.config.js')
    config.packagerConfig.electronZipDir = ${JSON.stringify(zips)}
    module.exports = config\n`,
  )
  run('npx', ['electron-forge', 'package'], { cwd: stage })
  return join(stage, 'out/node-mlx-electron-forge-linux-x64/node-mlx-electron-forge')
}

/** Returns the program that electron-vite and electron-builder make of their template. */
export function packageVite(electron) {
  const stage = stageTemplate('electron-vite', 'out/driver.cjs')
  run('npm', ['run', '--silent', 'build'], { cwd: stage })
  const local = [`-c.electronDist=${electron}`, `-c.electronVersion=${VERSION}`]
  run('npx', ['electron-builder', '--dir', ...local], { cwd: stage })
  return join(stage, 'dist/linux-unpacked/node-mlx-electron-vite')
}

/** A copy of a template with its packages, ours among them, and the driver in front of its main file. */
function stageTemplate(name, driver) {
  const stage = join(folder, name)
  const template = join(root, 'examples', name)
  const manifest = readJson(template)
  installTools(stage, manifest.devDependencies)
  for (const made of ['out', 'dist']) rmSync(join(stage, made), { recursive: true, force: true })
  cpSync(template, stage, { recursive: true })
  installPackage(stage)
  cpSync(join(import.meta.dirname, 'app/driver.cjs'), join(stage, driver))
  const devDependencies = { ...manifest.devDependencies, electron: VERSION }
  writeJson(stage, { ...manifest, devDependencies, main: driver, template: manifest.main })
  return stage
}

/** The packages of a template, kept from one run to the next. Without scripts, Electron's comes without its program. */
function installTools(stage, devDependencies) {
  const wanted = JSON.stringify(devDependencies)
  const stamp = join(stage, 'installed.json')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  writeJson(stage, { private: true, devDependencies })
  run('npm', ['install', ...QUIET], { cwd: stage })
  writeFileSync(stamp, wanted)
}

function zipElectron(electron) {
  const zips = join(folder, 'zips')
  const zip = join(zips, `electron-v${VERSION}-linux-x64.zip`)
  if (existsSync(zip)) return zips
  mkdirSync(zips, { recursive: true })
  run('zip', ['-qr1', zip, '.', '--exclude', 'resources/*'], { cwd: electron })
  return zips
}

function readJson(path) {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
}

function writeJson(path, manifest) {
  writeFileSync(join(path, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}
