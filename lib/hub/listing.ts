// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { NodeMlxError } from '../errors'
import { isRecord } from '../options'
import type { HubClient } from './client'
import {
  checkCommit,
  checkFileName,
  checkHash,
  isCommit,
  isWanted,
  type Kind,
  type RepoFile,
} from './files'

/** A file as the Hub lists it; some mirrors leave out size and hash. */
type ListedFile = Pick<RepoFile, 'name'> & Partial<RepoFile>

/** A repository and revision to download. */
export interface Source {
  id: string
  revision: string
  kind: Kind
}

/** The commit of a revision, and the files of it that are needed. */
export interface Listing {
  commit: string
  files: ListedFile[]
}

export async function fetchListing(
  client: HubClient,
  { id, revision, kind }: Source,
  retries: number,
): Promise<Listing> {
  const answer = await client.revision(revision, retries)
  const { sha, siblings } = isRecord(answer) ? answer : {}
  const commit = checkCommit(sha)
  if (isCommit(revision) && commit !== revision) {
    throw new NodeMlxError(
      'ERR_DOWNLOAD_CORRUPT',
      `${id}: requested commit ${revision}, but the Hub returned ${commit}`,
      { details: { id, commit } },
    )
  }
  const listed = (Array.isArray(siblings) ? siblings : []).filter(isRecord)
  const files = listed.flatMap((sibling) => toListedFile(sibling, kind))
  if (files.length > 0) return { commit, files }
  const isGguf = listed.some(({ rfilename }) => String(rfilename).toLowerCase().endsWith('.gguf'))
  throw new NodeMlxError(
    'ERR_MODEL_FILE_MISSING',
    `${id}: the repository contains no ${kind} files${isGguf ? ', only GGUF files: use the safetensors version' : ''}`,
    {
      details: { id },
    },
  )
}

/** Returns the file if it is needed. */
function toListedFile(sibling: Record<string, unknown>, kind: Kind): ListedFile[] {
  const { rfilename: name, size, blobId, lfs } = sibling
  if (typeof name !== 'string' || !isWanted(name, kind)) return []
  checkFileName(name)
  const large = isRecord(lfs) ? lfs : undefined
  const bytes = large?.['size'] ?? size
  const hash = large?.['sha256'] ?? blobId
  return [
    {
      name,
      ...(isSize(bytes) && { size: bytes }),
      ...(hash !== undefined && { hash: checkHash(hash, name) }),
    },
  ]
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
