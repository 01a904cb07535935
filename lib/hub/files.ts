// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Checks of untrusted names that become paths: repositories, revisions, files, hashes.

import { NodeMlxError } from '../errors'

/** One file of a repository. */
export interface RepoFile {
  /** Path inside the repository. */
  name: string
  /** In bytes. */
  size: number
  /** SHA-256 of a large file, git hash of a small one. Also the name of its blob, and its ETag. */
  hash: string
}

/** The kind of repository to download. */
export type Kind = 'model' | 'adapter'

/** The files that every repository of this kind must have. */
export const ESSENTIAL: Readonly<Record<Kind, readonly string[]>> = {
  model: ['config.json'],
  adapter: ['adapter_config.json', 'adapters.safetensors'],
}

const WANTED: Readonly<Record<Kind, readonly RegExp[]>> = {
  // What mlx-lm downloads (`DEFAULT_ALLOW_PATTERNS`), except Python files.
  model: [
    '*.json',
    'model*.safetensors',
    'tokenizer.model',
    '*.tiktoken',
    'tiktoken.model',
    '*.txt',
    '*.jsonl',
    '*.jinja',
  ].map(toPattern),
  adapter: ESSENTIAL.adapter.map(toPattern),
}

/** Whether a repository of this kind needs the file. */
export function isWanted(name: string, kind: Kind): boolean {
  return WANTED[kind].some((pattern) => pattern.test(name))
}

/** Converts a shell pattern with the semantics of Python's fnmatch: `*` also matches slashes. */
function toPattern(glob: string): RegExp {
  return new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 'su')
}

const COMMIT = /^[0-9a-f]{40}$/u
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u
const ID = /^(?=.{1,96}\/.{1,96}$)\w(?:[\w.-]*\w)?\/\w(?:[\w.-]*\w)?$/u
/** Includes lone surrogates, which no URL can carry, and what Windows reads as a drive or a server. */
const UNSAFE = /[\p{Cc}\p{Cs}\\]|^[a-z]:/iu
/** Includes the dots and spaces that Windows drops at the end of a name. */
const UNSAFE_ON_WINDOWS = /[:*?"<>|]|[. ](?:\/|$)/u

export function isCommit(revision: string): boolean {
  return COMMIT.test(revision)
}

/** Whether this is a valid repository name, `owner/name`. */
export function isId(id: string): boolean {
  return ID.test(id) && !/--|\.\./u.test(id)
}

export function checkId(id: string): void {
  if (!isId(id)) {
    throw unsafe('id', id, "expected 'owner/name', each of at most 96 letters, digits, -, _ and .")
  }
}

export function checkRevision(revision: string): void {
  if (!isSafe(revision)) {
    throw unsafe('revision', revision, 'expected a branch, a tag or a commit')
  }
}

export function checkFileName(name: string): void {
  if (!isSafe(name)) throw unsafe('file', name, 'the path could point outside the model folder')
}

export function checkCommit(commit: unknown): string {
  if (typeof commit === 'string' && COMMIT.test(commit)) return commit
  throw unsafe('commit', commit, 'expected a commit hash')
}

/** Checks a hash that will name a blob. */
export function checkHash(hash: unknown, file: string): string {
  if (typeof hash === 'string' && HASH.test(hash)) return hash
  throw unsafe('hash', hash, `expected the SHA-1 or SHA-256 of ${file}`)
}

/** Removes the quotes and the weakness prefix of an ETag. */
export function normalizeEtag(etag: string | null): string | undefined {
  return etag?.replace(/^W\//u, '').replaceAll('"', '')
}

/** Whether this relative path stays inside its folder. */
export function isSafe(path: string): boolean {
  return (
    path.length < 1024 &&
    !UNSAFE.test(path) &&
    !(process.platform === 'win32' && UNSAFE_ON_WINDOWS.test(path)) &&
    path.split('/').every((part) => part.trim() !== '' && !/^\.+$/u.test(part))
  )
}

function unsafe(what: string, value: unknown, problem: string): NodeMlxError {
  // The value comes from a server: it may have any type and length, and contain terminal control sequences.
  const text = typeof value === 'string' ? value.slice(0, 100) : undefined
  const shown = text === undefined ? `of type ${typeof value}` : quote(text)
  return new NodeMlxError('ERR_UNSAFE_PATH', `${what} ${shown}: ${problem}`, {
    details: { [what]: text },
  })
}

/** Quotes a text, and escapes its invisible characters. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll(/\p{C}/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    return `\\u{${code.toString(16)}}`
  })
}
