// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What the guides tell users to write, and the messages that they list.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, root } from '../../scripts/shared.mjs'

const HUB_MODEL = 'mlx-community/Qwen3-0.6B-4bit'
const FENCE = /^```\w+[^\n]*\n([\s\S]*?)^```/gmu

/** The code whose first line is a comment that begins with `title`, with the demo model in place of one of the Hub. */
export function codeOf(guide, title) {
  const codes = Array.from(read(guide).matchAll(FENCE), ([, code]) => code)
  const found = codes.find((code) => code.startsWith(`// ${title}`))
  if (found === undefined)
    throw new Failure(`docs/guide/${guide} has no code that begins '// ${title}'`)
  return found.replaceAll(HUB_MODEL, join(root, 'models/demo'))
}

/** A message of the table 'What goes wrong otherwise'. */
export function listedMessage(message) {
  if (!read('bundlers.md').includes(message))
    throw new Failure(`docs/guide/bundlers.md does not list '${message}'`)
  return message
}

/** What docs/guide/platforms.md says that Deno needs. */
export function denoPermissions() {
  const [, permissions] =
    /`deno run (--allow-\S+(?: --allow-\S+)*) app\.mjs`/u.exec(read('platforms.md')) ?? []
  if (permissions === undefined)
    throw new Failure('docs/guide/platforms.md has no command for Deno')
  return permissions.split(' ')
}

function read(guide) {
  return readFileSync(join(root, 'docs/guide', guide), 'utf8')
}
