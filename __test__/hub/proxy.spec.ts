// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Proxies, of which Node 20 knows nothing.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import * as http from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { COMMIT, ID, startHub, type Hub } from '../helpers/hub-server'
import { root } from '../helpers/models'

const CLI = join(root, 'dist/cli/bin.js')
const knowsProxies = process.allowedNodeEnvironmentFlags.has('--use-env-proxy')
const canSetProxies = 'setGlobalProxyFromEnv' in http

describe.skipIf(!knowsProxies)('node-mlx pull', () => {
  test('uses the proxy in HTTP_PROXY with NODE_USE_ENV_PROXY', async () => {
    const hub = await startHub()
    const { url, hosts } = await startProxy()
    expect(await pull(hub, { HTTP_PROXY: url, NODE_USE_ENV_PROXY: '1' })).toContain(COMMIT)
    expect(hosts).toEqual(new Set([host(hub.endpoint), host(hub.storage)]))
  })

  test.skipIf(!canSetProxies)('uses the proxy if the program enables it', async () => {
    const hub = await startHub()
    const { url, hosts } = await startProxy()
    expect(await pull(hub, { http_proxy: url })).toContain(COMMIT)
    expect(hosts).toEqual(new Set([host(hub.endpoint), host(hub.storage)]))
  })

  test.skipIf(!canSetProxies)(
    'refuses an address that is none, and does not print it',
    async () => {
      const env = { HTTPS_PROXY: 'user:s3cret@proxy:3128' }
      const { status, stderr } = spawnSync(process.execPath, [CLI, 'pull', ID], {
        env,
        encoding: 'utf8',
      })
      expect(status).toBe(1)
      expect(stderr).toMatch(/^node-mlx: HTTP_PROXY, HTTPS_PROXY: expected an address/u)
      expect(stderr).not.toContain('s3cret')
    },
  )

  test('does not use the proxy for the hosts in NO_PROXY', async () => {
    const hub = await startHub()
    const { url, hosts } = await startProxy()
    const env = { HTTP_PROXY: url, NODE_USE_ENV_PROXY: '1', NO_PROXY: '127.0.0.1' }
    expect(await pull(hub, env)).toContain(COMMIT)
    expect(hosts.size).toBe(0)
  })
})

async function pull(hub: Hub, env: Record<string, string>): Promise<string> {
  const { HOME, PATH } = process.env
  const { cacheDir, endpoint } = hub.options
  const child = spawn(process.execPath, [CLI, 'pull', ID], {
    env: { HOME, PATH, HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return text(child.stdout)
}

/** A proxy that notes which hosts it was used for: with a tunnel, or by whole addresses. */
async function startProxy(): Promise<{ url: string; hosts: Set<string> }> {
  const hosts = new Set<string>()
  const proxy: Server = createServer((incoming, response) => {
    const target = new URL(incoming.url ?? '')
    hosts.add(target.host)
    const { method, headers } = incoming
    request(target, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    }).end()
  })
  proxy.on('connect', ({ url = '' }, client) => {
    hosts.add(url)
    const { hostname, port } = new URL(`http://${url}`)
    const server = connect(Number(port), hostname, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      server.pipe(client).pipe(server)
    })
    for (const socket of [client, server]) socket.on('error', () => {})
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  onTestFinished(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, hosts }
}

function host(url: string): string {
  return new URL(url).host
}
