// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The files of sentence-transformers, which say how a model makes an embedding of a text.

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeMlxError } from './errors'
import { isSafe } from './hub/files'
import { isRecord, show } from './options'

/** Which hidden states an embedding is made of: the mean of all, or the last. */
export type PoolingMode = 'mean' | 'last'

/** How a model makes embeddings. */
export interface Pooling {
  mode: PoolingMode
  /** Whether the tokens of a prompt count for the mean. */
  includesPrompt: boolean
  /** What may be put before a text, by its name. */
  prompts: Readonly<Record<string, string>>
  defaultPrompt: string | undefined
  /** Number of tokens that a text may have, if there is a limit. */
  maxTokens: number
}

const MODULES = 'modules.json'
const MAX_BYTES = 1_000_000
const MODES: Readonly<Record<string, PoolingMode>> = { mean: 'mean', lasttoken: 'last' }

/**
 * Reads how the model of a folder makes embeddings. `given` is for one that has no modules.json.
 *
 * @throws ERR_MODEL_FILE_MISSING if nothing says how, ERR_MODEL_UNSUPPORTED if it makes them in a way that is not supported, or
 *   none at all, or ERR_CONFIG_INVALID
 */
export async function readPooling(folder: string, given?: PoolingMode): Promise<Pooling> {
  const path = await readModules(folder)
  if (path === undefined && given === undefined) {
    throw new NodeMlxError(
      'ERR_MODEL_FILE_MISSING',
      `the model folder '${folder}' has no ${MODULES}, which says how an embedder pools: pass pooling: 'last' or ` +
        "'mean', if this model is one",
      { details: { path: folder, file: MODULES } },
    )
  }
  const pooled = path === undefined ? {} : await readMode(folder, `${path}/config.json`, given)
  return {
    mode: given ?? 'last',
    includesPrompt: true,
    ...pooled,
    ...(await readPrompts(folder)),
    maxTokens: await readLimit(folder),
  }
}

/** The names of the modules that a model consists of, and their paths; `undefined` without modules.json. */
export async function listModules(
  folder: string,
): Promise<{ name: string; path: string }[] | undefined> {
  const modules = await readJson(folder, MODULES)
  if (modules === undefined) return undefined
  if (!Array.isArray(modules)) throw invalid(MODULES, '', 'an array', modules)
  return modules.map((module: unknown, index) => {
    const { type, path } = isRecord(module) ? module : {}
    if (typeof type !== 'string') throw invalid(MODULES, `[${index}].type`, 'a string', type)
    if (path !== '' && !(typeof path === 'string' && isSafe(path)))
      throw invalid(MODULES, `[${index}].path`, 'a folder in the model', path)
    // Older and newer versions name the same class in different packages.
    return { name: type.replace(/^.*\./su, ''), path }
  })
}

/** The error for a model that consists of modules which are not supported. */
export function unsupported(problem: string): NodeMlxError {
  return new NodeMlxError('ERR_MODEL_UNSUPPORTED', `${MODULES}: ${problem}`, {
    details: { file: MODULES },
  })
}

/** The folder of the pooling module. */
async function readModules(folder: string): Promise<string | undefined> {
  const modules = await listModules(folder)
  if (modules === undefined) return undefined
  const names = modules.map(({ name }) => name)
  const [transformer, pooling] = modules
  if (!/^Transformer,Pooling(?:,Normalize)?$/u.test(names.join())) {
    const supported = 'Transformer, Pooling and Normalize'
    throw unsupported(
      `a model of ${names.join(', ')} is not supported as an embedder, only ${supported}`,
    )
  }
  if (transformer?.path !== '') throw unsupported('the model is not in the main folder')
  return pooling?.path
}

async function readMode(
  folder: string,
  file: string,
  given: PoolingMode | undefined,
): Promise<Pick<Pooling, 'mode' | 'includesPrompt'>> {
  const config = await readRecord(folder, file)
  const { pooling_mode: mode, include_prompt: includesPrompt = true } = config
  // Older versions have a switch for each mode, of which several can be on.
  const flags = Object.keys(config).filter(
    (key) => key.startsWith('pooling_mode_') && config[key] === true,
  )
  const named = flags.map((key) => key.slice('pooling_mode_'.length).replace(/_tokens?$/u, ''))
  const modes = typeof mode === 'string' ? [mode] : Array.isArray(mode) ? mode.map(String) : named
  const known = modes.length === 1 && Object.hasOwn(MODES, modes[0] ?? '') && MODES[modes[0] ?? '']
  const chosen = given ?? known
  if (!chosen) {
    throw new NodeMlxError(
      'ERR_MODEL_UNSUPPORTED',
      `${file}: pooling by ${modes.join(' and ') || 'nothing'} is not supported, only mean and lasttoken`,
      { details: { file } },
    )
  }
  if (typeof includesPrompt !== 'boolean')
    throw invalid(file, 'include_prompt', 'true or false', includesPrompt)
  return { mode: chosen, includesPrompt }
}

async function readPrompts(folder: string): Promise<Pick<Pooling, 'prompts' | 'defaultPrompt'>> {
  const file = 'config_sentence_transformers.json'
  const { prompts, default_prompt_name: name } = await readRecord(folder, file, true)
  const known = prompts ?? {}
  if (!isRecord(known) || Object.values(known).some((prompt) => typeof prompt !== 'string'))
    throw invalid(file, 'prompts', 'an object of strings', prompts)
  if (
    (name ?? undefined) !== undefined &&
    !(typeof name === 'string' && Object.hasOwn(known, name))
  )
    throw invalid(file, 'default_prompt_name', 'the name of a prompt', name)
  return { prompts: known as Record<string, string>, defaultPrompt: (name as string) ?? undefined }
}

async function readLimit(folder: string): Promise<number> {
  const file = 'sentence_bert_config.json'
  const { max_seq_length: limit, do_lower_case: lowers } = await readRecord(folder, file, true)
  if (lowers === true) throw invalid(file, 'do_lower_case', 'false', lowers)
  const tokens = limit ?? Infinity
  if (typeof tokens !== 'number' || tokens < 1)
    throw invalid(file, 'max_seq_length', 'a positive number', limit)
  return tokens
}

async function readRecord(
  folder: string,
  file: string,
  isOptional = false,
): Promise<Record<string, unknown>> {
  const value = await readJson(folder, file)
  if (value === undefined && isOptional) return {}
  if (!isRecord(value)) throw invalid(file, '', 'an object', value)
  return value
}

/** `undefined` if there is no such file. */
async function readJson(folder: string, file: string): Promise<unknown> {
  const path = join(folder, file)
  const found = await stat(path).catch(() => null)
  if (found === null) return undefined
  if (!found.isFile() || found.size > MAX_BYTES)
    throw invalid(file, '', `a file of at most ${MAX_BYTES} bytes`, found.size)
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    const { message } = error as Error
    throw new NodeMlxError('ERR_CONFIG_INVALID', `${file}: ${message}`, {
      details: { file, field: '' },
      cause: error,
    })
  }
}

function invalid(file: string, field: string, expected: string, value: unknown): NodeMlxError {
  const where = field === '' ? file : `${file}: ${field}`
  return new NodeMlxError(
    'ERR_CONFIG_INVALID',
    `${where}: expected ${expected}, got ${show(value)}`,
    {
      details: { file, field },
    },
  )
}
