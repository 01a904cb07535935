// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Endpoint, cache folder, token and timeouts: from the options, or else from the environment, read as
// huggingface_hub reads it.

import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { invalidArgument } from '../errors'
import { expandHome } from '../paths'
import type { HubOptions } from './types'

const ENDPOINT = 'https://huggingface.co'
const DEFAULT_TIMEOUT_S = 10
const LONGEST_TIMEOUT_S = 24 * 60 * 60

/** Settings of the client and the cache. */
export interface Settings {
  /** Without a trailing slash. */
  endpoint: string
  cacheDir: string
  /** Makes no connection. */
  offline: boolean
  /** Whether snapshots contain symbolic links to the blobs, where they can be created; otherwise, hard links or copies. */
  symlinks: boolean
  token: string | undefined
  /** Time limit for the start of a response. */
  answerTimeoutMs: number
  /** Time limit between two chunks of a response. */
  idleTimeoutMs: number
}

export async function readSettings(options: HubOptions = {}): Promise<Settings> {
  const offline = options.offline ?? isTrue(env('HF_HUB_OFFLINE') ?? env('TRANSFORMERS_OFFLINE'))
  return {
    endpoint: toEndpoint(options.endpoint),
    cacheDir: hubCache(options.cacheDir),
    offline,
    symlinks: !isTrue(env('HF_HUB_DISABLE_SYMLINKS')),
    token: offline ? undefined : await findToken(options.token),
    answerTimeoutMs: seconds('HF_HUB_ETAG_TIMEOUT'),
    idleTimeoutMs: seconds('HF_HUB_DOWNLOAD_TIMEOUT'),
  }
}

/** Returns the folder of the cache that Hugging Face libraries share. */
export function hubCache(cacheDir?: string): string {
  const path =
    cacheDir ??
    pathFrom('HF_HUB_CACHE') ??
    pathFrom('HUGGINGFACE_HUB_CACHE') ??
    join(huggingFaceHome(), 'hub')
  return resolve(expandHome(path))
}

function huggingFaceHome(): string {
  return (
    pathFrom('HF_HOME') ??
    join(pathFrom('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface')
  )
}

function toEndpoint(option: string | undefined): string {
  const name = option === undefined ? 'HF_ENDPOINT' : 'endpoint'
  const text = option ?? env('HF_ENDPOINT') ?? ENDPOINT
  const url = URL.canParse(text) ? new URL(text) : undefined
  const extra = url && (url.username || url.password || url.search || url.hash)
  if (!url || !/^https?:$/u.test(url.protocol) || extra) {
    throw invalidArgument(name, `expected a URL such as ${ENDPOINT}`)
  }
  return url.href.replace(/\/+$/u, '')
}

async function findToken(option: string | undefined): Promise<string | undefined> {
  if (option !== undefined) return checkToken('token', option)
  if (isTrue(env('HF_HUB_DISABLE_IMPLICIT_TOKEN'))) return undefined
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const token = checkToken(name, env(name))
    if (token !== undefined) return token
  }
  const path = pathFrom('HF_TOKEN_PATH') ?? join(huggingFaceHome(), 'token')
  return checkToken(path, await readFile(path, 'utf8').catch(() => ''))
}

/** Rejects a token that no header can carry: the error of fetch would quote it. */
function checkToken(name: string, text: string | undefined): string | undefined {
  const token = text?.replaceAll(/[\r\n]/gu, '').trim()
  if (!token) return undefined
  if (!/^[!-~]+$/u.test(token)) {
    throw invalidArgument(name, 'expected a Hugging Face access token')
  }
  return token
}

function env(name: string): string | undefined {
  return process.env[name] || undefined
}

export function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes(value?.toUpperCase() ?? '')
}

function seconds(name: string): number {
  const value = Number(env(name))
  // A timer with a longer delay would fire at once.
  return Math.min(value > 0 ? value : DEFAULT_TIMEOUT_S, LONGEST_TIMEOUT_S) * 1000
}

/** Reads a path from the environment, and expands `~` and variables such as `$HOME`. */
function pathFrom(name: string): string | undefined {
  const path = env(name)
  if (path === undefined) return undefined
  return expandHome(path).replaceAll(
    /\$(?:(\w+)|\{(\w+)\})/gu,
    (whole, bare?: string, braced?: string) => {
      return process.env[bare ?? braced ?? ''] ?? whole
    },
  )
}
