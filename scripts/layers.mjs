// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// `node scripts/layers.mjs [folder]`: the parts of src/ and lib/ may use only what CONTRIBUTING.md draws below them. Tests
// and imports of types count as well. The files of lib/ may not import each other in a circle, even within a part; inside
// the parts of src/, modules may.

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, resolve } from 'node:path'
import { Failure, root, script } from './shared.mjs'

const DRAWING = /^## The parts\n+```\n(?<drawing>.*?)^```$/msu
const RUST_PATH = /(?<![\w$:])(?<start>crate|super(?:::super)*)::(?=[\w{])/gu
const TS_IMPORT = /\b(?:from|import|import\s*\(|require\s*\()\s*['"](?<path>\.[^'"]*)['"]/gu

await script(() => {
  const folder = resolve(process.argv[2] ?? root)
  const drawn = readDrawing(join(folder, 'CONTRIBUTING.md'))
  const src = readSources(join(folder, 'src'), /\.rs$/u, /^\s*\/\/.*$/gmu)
  // The root of the crate only names the parts.
  src.delete('lib.rs')
  const lib = readSources(join(folder, 'lib'), /\.m?ts$/u, /^\s*(?:\/\/|\/\*|\*).*$/gmu)
  const imports = [...lib].flatMap(([file, text]) => tsImports(file, text, lib))
  const faults = [
    ...checkOrder('src', drawn.src, src, [...src].flatMap(rustUses)),
    ...checkOrder('lib', drawn.lib, lib, imports),
    ...findCircles(imports).map((circle) => `lib: ${circle.join(' → ')} is a circle`),
  ]
  if (faults.length > 0) throw new Failure(`the parts are out of order:\n  ${faults.join('\n  ')}`)
})

/** The parts of each folder, layer by layer from the top: those on one line are side by side. */
function readDrawing(file) {
  const drawing = DRAWING.exec(readFileSync(file, 'utf8'))?.groups.drawing
  if (drawing === undefined) throw new Failure(`${file} has no drawing under '## The parts'`)
  const drawn = { src: [], lib: [] }
  for (const line of drawing.split('\n')) {
    const [paths] = /^(?:\s*(?:src|lib)\/\S+)*/u.exec(line)
    for (const [folder, layers] of Object.entries(drawn)) {
      const layer = paths.split(/\s+/u).filter((path) => path.startsWith(`${folder}/`))
      if (layer.length > 0) layers.push(layer.map((path) => partOf(path.slice(folder.length + 1))))
    }
  }
  return drawn
}

/** The sources in a folder, by their path in it, without the lines that are comments. */
function readSources(folder, wanted, comment) {
  const names = readdirSync(folder, { recursive: true }).map((name) => name.replaceAll('\\', '/'))
  const read = (name) => readFileSync(join(folder, name), 'utf8').replaceAll(comment, '')
  return new Map(names.filter((name) => wanted.test(name)).map((name) => [name, read(name)]))
}

/** A part is a folder with all that it holds, or a file. */
function partOf(path) {
  return path.split('/')[0].replace(/\.\w+$/u, '')
}

/** Checks `uses`, each of a file and the part that it uses, against the layers. */
function checkOrder(folder, layers, sources, uses) {
  const depths = new Map(layers.flatMap((layer, depth) => layer.map((part) => [part, depth])))
  const parts = new Set([...sources.keys()].map(partOf))
  const isWrong = ({ file, part }) => {
    return (
      parts.has(part) && part !== partOf(file) && !(depths.get(part) > depths.get(partOf(file)))
    )
  }
  const wrong = uses.filter(isWrong).map(({ file, part }) => {
    return `${folder}/${file} uses ${part}, which is not drawn below ${partOf(file)}`
  })
  return [
    ...[...parts]
      .filter((part) => !depths.has(part))
      .map((part) => `${folder}/${part} is not drawn`),
    ...[...depths.keys()]
      .filter((part) => !parts.has(part))
      .map((part) => `${folder}/${part} is drawn, but does not exist`),
    ...new Set(wrong),
  ]
}

/** What a Rust file names at the root of the crate. */
function rustUses([file, text]) {
  const depth = file.replace(/(?:\/mod)?\.rs$/u, '').split('/').length
  return [...text.matchAll(RUST_PATH)].flatMap(({ index, 0: match, groups: { start } }) => {
    // Modules inside a file are deeper than it: too strict where such a one has a child with the name of a part.
    const isRoot = start === 'crate' || start.split('::').length >= depth
    return isRoot
      ? firstNames(text.slice(index + match.length)).map((part) => ({ file, part }))
      : []
  })
}

/** The names that a path, or a tree such as `{a::{b, c}, d}`, begins with. */
function firstNames(path) {
  const names = []
  let depth = 0
  let previous = ','
  for (const [token] of path.matchAll(/[{},]|::|\w+/gu)) {
    if (token === '{') depth += 1
    if (token === '}') depth -= 1
    if (/\w/u.test(token) && depth < 2 && /[{,]/u.test(previous)) names.push(token)
    if (depth === 0) break
    previous = token
  }
  return names
}

/** What a file of lib/ imports from there; the addon's index.js is outside. */
function tsImports(file, text, sources) {
  return [...text.matchAll(TS_IMPORT)].flatMap(({ groups: { path } }) => {
    const target = posix.join(posix.dirname(file), path)
    const names = [`${target}.ts`, `${target}/index.ts`, target.replace(/js$/u, 'ts')]
    const to = names.find((name) => sources.has(name))
    return to === undefined ? [] : [{ file, to, part: partOf(to) }]
  })
}

/** Ways that lead from a file back to it. */
function findCircles(imports) {
  const imported = new Map(imports.map(({ file }) => [file, new Set()]))
  for (const { file, to } of imports) imported.get(file).add(to)
  const circles = []
  const done = new Set()
  const walk = (file, way) => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file])
    } else if (!done.has(file)) {
      for (const to of imported.get(file) ?? []) walk(to, [...way, file])
      done.add(file)
    }
  }
  for (const file of imported.keys()) walk(file, [])
  return circles
}
