// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Adapters of the Hub.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { downloadModel, loadModel, type LoadOptions, type LoadProgress } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { random } from '../helpers/hub-download'
import { COMMIT, folderFiles, ID, refuse, startHub, type Hub } from '../helpers/hub-server'
import { fixture, letters, makeModel } from '../helpers/models'
import { integers, parseSafetensors } from '../helpers/safetensors'

const ADAPTER = 'somebody/tiny-adapter'
const FOLDER = 'models--somebody--tiny-adapter'
const FIXTURE = fixture('llama-4bit-lora')
const FILES = ['adapter_config.json', 'adapters.safetensors']

const golden = parseSafetensors(readFileSync(join(FIXTURE, 'golden.safetensors')))

describe('an adapter of the Hub', () => {
  test('is downloaded, with its own files only, and then used without the Hub', async () => {
    const hub = await startHub()
    const others = ['README.md', 'config.json', 'tokenizer.json', 'model.safetensors']
    const checkpoint = '0000100_adapters.safetensors'
    for (const name of [...others, checkpoint]) addToAdapter(hub, { [name]: random(100) })
    addToAdapter(hub, folderFiles(join(FIXTURE, 'adapters')))
    const events: LoadProgress[] = []
    const options = { ...hub.options, token: 'hf_token', adapter: ADAPTER }
    const onProgress = (event: LoadProgress): unknown => events.push(event)
    const expected = integers(golden, 'short.tokens')
    expect(await answer({ ...options, onProgress })).toEqual(expected)
    expect(filesOf(hub)).toEqual(FILES)
    expect(new Set(events.map((event) => ('file' in event ? event.file : event.stage)))).toEqual(
      new Set([...FILES, 'load']),
    )
    expect(hub.requests.filter(({ host }) => host === 'hub')).toSatisfy(
      (requests: Hub['requests']) =>
        requests.every(({ authorization }) => authorization === 'Bearer hf_token'),
    )
    const before = hub.requests.length
    expect(await answer({ ...options, offline: true })).toEqual(expected)
    expect(hub.requests).toHaveLength(before)
  })

  test('is downloaded before the model, which is not requested if the adapter does not exist', async () => {
    const hub = await startHub()
    await expect(loadModel(ID, { ...hub.options, adapter: ADAPTER })).rejects.toMatchObject({
      code: 'ERR_HUB_NOT_FOUND',
      details: { id: ADAPTER },
    })
    expect(hub.requests.map(({ path }) => path)).toEqual([
      `/api/models/${ADAPTER}/revision/main?blobs=true`,
    ])
    addToAdapter(hub, { 'README.md': random(10) })
    await expect(loadModel(ID, { ...hub.options, adapter: ADAPTER })).rejects.toMatchObject({
      code: 'ERR_MODEL_FILE_MISSING',
    })
    addToAdapter(hub, { 'adapter_config.json': Buffer.from('{"peft_type":"LORA"}') })
    hub.files = folderFiles()
    await expect(loadModel(ID, { ...hub.options, adapter: ADAPTER })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
    })
  })

  test('may share a repository with a model, without being confused with it', async () => {
    const hub = await startHub({
      ...folderFiles(model()),
      ...folderFiles(join(FIXTURE, 'adapters')),
    })
    const folder = await downloadModel(ID, hub.options)
    expect(existsSync(join(folder, 'adapters.safetensors'))).toBe(false)
    const options = { ...hub.options, adapter: ID }
    await expect(answer({ ...options, offline: true })).rejects.toMatchObject({
      code: 'ERR_OFFLINE',
    })
    expect(await answer(options)).toEqual(integers(golden, 'short.tokens'))
    expect(readdirSync(folder)).toContain('adapters.safetensors')

    const other = { ...options, cacheDir: `${hub.options.cacheDir}2` }
    await answer(other)
    await expect(
      downloadModel(ID, { cacheDir: other.cacheDir, offline: true }),
    ).rejects.toMatchObject({ code: 'ERR_OFFLINE' })
    const { commit } = hub
    expect(commit).toBe(COMMIT)
  })

  test('is not requested if a folder of that name exists, nor for a path', async () => {
    const hub = await startHub()
    for (const [adapter, code] of [
      ['models/demo', 'ERR_MODEL_FILE_MISSING'],
      ['./owner/name', 'ERR_MODEL_NOT_FOUND'],
      ['adapters', 'ERR_MODEL_NOT_FOUND'],
      ['~/no/such/adapter', 'ERR_MODEL_NOT_FOUND'],
    ] as const) {
      await expect(answer({ ...hub.options, adapter }), adapter).rejects.toMatchObject({ code })
    }
    expect(hub.requests).toEqual([])
  })

  test('can be given up, and is of a kind that names the problem', async () => {
    const hub = await startHub()
    addToAdapter(hub, folderFiles(join(FIXTURE, 'adapters')))
    const controller = new AbortController()
    hub.intercept = () => {
      controller.abort('enough')
      return true
    }
    const options = { ...hub.options, adapter: ADAPTER }
    await expect(answer({ ...options, signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORT_ERR',
      cause: 'enough',
    })
    hub.intercept = (_, response) => refuse(response, 403, 'GatedRepo')
    await expect(answer(options)).rejects.toMatchObject({ code: 'ERR_HUB_GATED' })
    await expect(answer({ ...options, adapter: 'a..b/c' })).rejects.toMatchObject({
      code: 'ERR_UNSAFE_PATH',
    })
  })
})

function addToAdapter(hub: Hub, files: Hub['files']): void {
  hub.others[ADAPTER] = { ...hub.others[ADAPTER], ...files }
}

/** Names in the snapshot of the adapter. */
function filesOf(hub: Hub): string[] {
  return readdirSync(join(hub.options.cacheDir, FOLDER, 'snapshots', COMMIT))
}

let folder: string | undefined

function model(): string {
  folder ??= makeModel({ from: FIXTURE, files: { 'tokenizer.json': letters() } })
  return folder
}

/** What the model answers to the prompt of the golden file. */
async function answer(options: LoadOptions): Promise<number[]> {
  await using loaded = await loadModel(model(), { device: 'cpu', ...options })
  const maxTokens = integers(golden, 'short.tokens').length
  const prompt = integers(golden, 'short.prompt')
  const { tokens } = await loaded.generate(prompt, { maxTokens, temperature: 0, ignoreEos: true })
  return [...tokens]
}
