// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A registry of npm on this machine with the packed packages and nothing else, so that package managers install them as
// they will when they are published.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

/** `packages`: the folder with the tarballs. Returns the server, and its address. */
export async function startRegistry(packages) {
  const answers = new Map()
  const server = createServer((request, response) => {
    const answer = answers.get(request.url)
    response.writeHead(answer === undefined ? 404 : 200)
    response.end(answer ?? '{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = `http://127.0.0.1:${server.address().port}`
  for (const file of readdirSync(packages).filter((name) => name.endsWith('.tgz'))) {
    const text = execFileSync('tar', ['xzOf', file, 'package/package.json'], { cwd: packages })
    const manifest = JSON.parse(text)
    const { name, version } = manifest
    const tarball = readFileSync(join(packages, file))
    const hash = (algorithm, encoding) => createHash(algorithm).update(tarball).digest(encoding)
    const dist = {
      tarball: `${address}/${file}`,
      shasum: hash('sha1', 'hex'),
      integrity: `sha512-${hash('sha512', 'base64')}`,
    }
    const versions = { [version]: { ...manifest, dist } }
    answers.set(`/${file}`, tarball)
    // Long ago, as package managers may refuse what is a few days old.
    const time = { [version]: '2026-01-01T00:00:00.000Z' }
    answers.set(
      `/${name}`,
      JSON.stringify({ name, 'dist-tags': { latest: version }, versions, time }),
    )
  }
  return { server, address }
}
