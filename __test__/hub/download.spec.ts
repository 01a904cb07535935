// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import promises from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadModel, loadModel, type DownloadProgress, type LoadProgress } from 'node-mlx'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { listModels } from '../../lib/hub/cache'
import { FOLDER } from '../helpers/hub-download'
import { blobName, COMMIT, folderFiles, gitHash, ID, startHub } from '../helpers/hub-server'
import { llama } from '../helpers/models'

describe('downloadModel', () => {
  test("uses huggingface_hub's cache layout", async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    const root = join(hub.options.cacheDir, FOLDER)
    expect(folder).toBe(join(root, 'snapshots', COMMIT))
    expect(readFileSync(join(root, 'refs/main'), 'utf8')).toBe(COMMIT)
    for (const [name, data] of Object.entries(hub.files)) {
      const blob = blobName(name, data)
      expect(readFileSync(join(root, 'blobs', blob)).equals(data), name).toBe(true)
      expect(readlinkSync(join(folder, name))).toBe(join('../../blobs', blob))
    }
    const names = Object.entries(hub.files).map(([name, data]) => blobName(name, data))
    expect(readdirSync(join(root, 'blobs')).toSorted()).toEqual(names.toSorted())
    expect(readdirSync(join(hub.options.cacheDir, '.locks', FOLDER)).toSorted()).toEqual(
      names.map((name) => `${name}.lock`).toSorted(),
    )
    expect(readdirSync(root).toSorted()).toEqual(['blobs', 'refs', 'snapshots', 'trees'])
  })

  test('downloads the files that mlx-lm downloads, except programs', async () => {
    const wanted = ['config.json', 'sub folder/añadido.json', 'model-1-of-2.safetensors']
    const more = ['tokenizer.model', 'x.tiktoken', 'merges.txt', 'a.jsonl', 'chat_template.jinja']
    const unwanted = ['README.md', 'modeling.py', 'pytorch_model.bin', 'consolidated.safetensors']
    const all = [...wanted, ...more, ...unwanted]
    const hub = await startHub(
      Object.fromEntries(all.map((name) => [name, Buffer.from(`this is ${name}`)])),
    )
    const folder = await downloadModel(ID, hub.options)
    for (const name of all) {
      expect(existsSync(join(folder, name)), name).toBe(!unwanted.includes(name))
    }
  })

  test('sends one request for a cached branch, and none for a cached commit', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    const before = hub.requests.length
    expect(await downloadModel(ID, hub.options)).toBe(folder)
    expect(hub.requests).toHaveLength(before + 1)
    expect(await downloadModel(ID, { ...hub.options, revision: COMMIT })).toBe(folder)
    expect(hub.requests).toHaveLength(before + 1)
  })

  test('downloads only the files that a new commit changed', async () => {
    const hub = await startHub()
    await downloadModel(ID, hub.options)
    hub.requests.length = 0
    hub.commit = 'abcdef'.padEnd(40, '1')
    hub.files = { ...hub.files, 'extra.json': Buffer.from('{}') }
    const folder = await downloadModel(ID, hub.options)
    expect(readdirSync(folder).toSorted()).toEqual(Object.keys(hub.files).toSorted())
    expect(hub.fileRequests()).toEqual([`hub /${ID}/resolve/${hub.commit}/extra.json`])
  })

  test('accepts branches and pull requests', async () => {
    const hub = await startHub()
    const root = join(hub.options.cacheDir, FOLDER)
    for (const revision of ['v1', 'refs/pr/1']) {
      await downloadModel(ID, { ...hub.options, revision })
      expect(readFileSync(join(root, 'refs', revision), 'utf8')).toBe(COMMIT)
    }
  })

  test('uses a snapshot of an older huggingface_hub, without a file list, without requesting its files', async () => {
    const hub = await startHub()
    const root = join(hub.options.cacheDir, FOLDER)
    const snapshot = join(root, 'snapshots', COMMIT)
    for (const folder of [snapshot, join(root, 'blobs'), join(root, 'refs')])
      mkdirSync(folder, { recursive: true })
    writeFileSync(join(root, 'refs/main'), COMMIT)
    for (const [name, data] of Object.entries(hub.files)) {
      const blob = join(root, 'blobs', blobName(name, data))
      writeFileSync(blob, data)
      symlinkSync(relative(snapshot, blob), join(snapshot, name))
    }
    expect(await downloadModel(ID, hub.options)).toBe(snapshot)
    expect(hub.fileRequests()).toEqual([])
    rmSync(join(snapshot, 'config.json'))
    await downloadModel(ID, hub.options)
    expect(existsSync(join(snapshot, 'config.json'))).toBe(true)
    expect(hub.fileRequests()).toEqual([])
  })

  test('requests size and hash if the file list lacks them', async () => {
    const hub = await startHub()
    hub.edit = ({ sha, siblings }) => ({
      sha,
      siblings: siblings.map(({ rfilename }) => ({ rfilename })),
    })
    const folder = await downloadModel(ID, hub.options)
    for (const [name, data] of Object.entries(hub.files)) {
      expect(readFileSync(join(folder, name)).equals(data), name).toBe(true)
    }
    const heads = hub.requests.filter(({ method }) => method === 'HEAD')
    expect(heads).toHaveLength(Object.keys(hub.files).length)
    expect(heads.every(({ host }) => host === 'hub')).toBe(true)
  })

  test('makes copies if links are unavailable', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1')
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    expect(lstatSync(join(folder, 'config.json')).isFile()).toBe(true)
    expect(
      readFileSync(join(folder, 'config.json')).equals(hub.files['config.json'] as Buffer),
    ).toBe(true)
    expect(await downloadModel(ID, { ...hub.options, offline: true })).toBe(folder)
  })

  test('makes hard links if the user may create no symbolic ones', async () => {
    const refused = Object.assign(new Error('not permitted'), { code: 'EPERM' })
    const symlink = vi.spyOn(promises, 'symlink').mockRejectedValue(refused)
    onTestFinished(() => symlink.mockRestore())
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    const { size, nlink } = lstatSync(join(folder, 'config.json'))
    expect({ size, nlink }).toEqual({ size: hub.files['config.json']?.length, nlink: 2 })
    expect(symlink).toHaveBeenCalled()
  })

  test('counts what huggingface_hub has moved into a snapshot, and hard links once', async () => {
    const hub = await startHub()
    const folder = await downloadModel(ID, hub.options)
    const sizes = async () => (await listModels(hub.options.cacheDir)).map(({ size }) => size)
    const [before = NaN] = await sizes()
    const blob = realpathSync(join(folder, 'config.json'))
    rmSync(join(folder, 'config.json'))
    linkSync(blob, join(folder, 'config.json'))
    expect(await sizes()).toEqual([before])
    rmSync(blob)
    expect(await sizes()).toEqual([before])
  })

  test('keeps one blob for equal files', async () => {
    const data = Buffer.from('{"same":true}')
    const hub = await startHub({ 'a.json': data, 'b.json': data, 'c/d.json': data })
    const folder = await downloadModel(ID, hub.options)
    expect(hub.fileRequests()).toHaveLength(1)
    expect(readlinkSync(join(folder, 'c/d.json'))).toBe(`../../../blobs/${gitHash(data)}`)
    expect(readFileSync(join(folder, 'c/d.json')).equals(data)).toBe(true)
  })

  test('reports the progress of each file and of the whole download', async () => {
    const hub = await startHub({
      ...folderFiles(),
      'model-b.safetensors': Buffer.alloc(2 ** 20, 7),
    })
    hub.burst = 2 ** 13
    const events: DownloadProgress[] = []
    await downloadModel(ID, { ...hub.options, onProgress: (event) => events.push(event) })
    const total = Object.values(hub.files).reduce((sum, { length }) => sum + length, 0)
    expect(events.every((event) => event.stage === 'download' && event.total === total)).toBe(true)
    expect(events.at(-1)?.loaded).toBe(total)
    const sums = events.map(({ loaded }) => loaded)
    expect(sums).toEqual(sums.toSorted((a, b) => a - b))
    for (const [name, { length }] of Object.entries(hub.files)) {
      const last = events.findLast(({ file }) => file === name)
      expect(last).toMatchObject({ fileLoaded: length, fileTotal: length })
    }
    expect(
      events.some(({ fileLoaded, fileTotal }) => fileLoaded > 0 && fileLoaded < fileTotal),
    ).toBe(true)
  })
})

describe('settings', () => {
  test('come from the environment, as huggingface_hub reads it', async () => {
    const hub = await startHub()
    const home = hub.options.cacheDir
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`)
    vi.stubEnv('XDG_CACHE_HOME', join(home, 'xdg'))
    expect(await cacheOf()).toBe(join(home, 'xdg/huggingface/hub'))
    vi.stubEnv('TEST_HOME', home)
    vi.stubEnv('HF_HOME', '$TEST_HOME/${TEST_HOME}x/../hf')
    expect(await cacheOf()).toBe(join(home, `${home}x/../hf/hub`))
    vi.stubEnv('HF_HUB_CACHE', join(home, 'cache'))
    expect(await cacheOf()).toBe(join(home, 'cache'))
    vi.stubEnv('HOME', home)
    expect(await cacheOf('~/own')).toBe(join(home, 'own'))
    expect(await cacheOf(join(home, '$TEST_HOME'))).toBe(join(home, '$TEST_HOME'))
    vi.stubEnv('TRANSFORMERS_OFFLINE', '1')
    await expect(cacheOf(join(home, 'none'))).rejects.toMatchObject({ code: 'ERR_OFFLINE' })
    vi.stubEnv('HF_HUB_OFFLINE', '0')
    expect(await cacheOf(join(home, 'none'))).toBe(join(home, 'none'))
    vi.unstubAllEnvs()
  })

  test('the token is found as huggingface_hub finds it', async () => {
    const hub = await startHub()
    const tokens: (string | undefined)[] = []
    hub.intercept = ({ authorization }) => {
      tokens.push(authorization)
      return false
    }
    const sent = async (token?: string): Promise<string | undefined> => {
      tokens.length = 0
      await downloadModel(ID, { ...hub.options, token })
      return tokens[0]
    }
    vi.stubEnv('HF_HOME', hub.options.cacheDir)
    writeFileSync(join(hub.options.cacheDir, 'token'), 'hf_stored\n')
    expect(await sent()).toBeUndefined()
    expect(await sent('hf_given')).toBe('Bearer hf_given')
    vi.stubEnv('HF_HUB_DISABLE_IMPLICIT_TOKEN', '')
    expect(await sent()).toBe('Bearer hf_stored')
    writeFileSync(join(hub.options.cacheDir, 'other'), 'hf_other')
    vi.stubEnv('HF_TOKEN_PATH', join(hub.options.cacheDir, 'other'))
    expect(await sent()).toBe('Bearer hf_other')
    vi.stubEnv('HF_TOKEN', ' \n')
    expect(await sent()).toBe('Bearer hf_other')
    vi.stubEnv('HF_TOKEN', ' hf_\nenv\n')
    expect(await sent()).toBe('Bearer hf_env')
    expect(await sent('hf_given')).toBe('Bearer hf_given')
  })

  test('timeouts longer than a timer supports', async () => {
    const hub = await startHub()
    hub.intercept = async () => {
      await sleep(30)
      return false
    }
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', 'Infinity')
    vi.stubEnv('HF_HUB_ETAG_TIMEOUT', '3000000')
    expect(await downloadModel(ID, hub.options)).toContain(COMMIT)
  })

  async function cacheOf(cacheDir?: string): Promise<string> {
    return dirname(dirname(dirname(await downloadModel(ID, { cacheDir }))))
  }
})

describe('loadModel', () => {
  test('downloads a model from the Hub, loads it, and then works without the Hub', async () => {
    const hub = await startHub()
    const stages: string[] = []
    const onProgress = ({ stage }: LoadProgress): unknown => stages.push(stage)
    await using model = await loadModel(ID, { ...hub.options, onProgress })
    expect(model.id).toBe(ID)
    expect(model.path).toContain(COMMIT)
    expect([...new Set(stages)]).toEqual(['download', 'load'])
    const { tokens } = await model.generate([1, 2, 3], { maxTokens: 4, temperature: 0 })
    await hub.close()
    await using again = await loadModel(ID, { ...hub.options, offline: true })
    const answer = await again.generate([1, 2, 3], { maxTokens: 4, temperature: 0 })
    expect(answer.tokens).toEqual(tokens)
  })

  test('prefers a folder of that name, and treats whatever looks like a path as one', async () => {
    const hub = await startHub()
    await using model = await loadModel('__test__/fixtures/llama', hub.options)
    expect(model.modelType).toBe('llama')
    for (const path of ['./owner', '../owner', '/no/such', '~/model', 'C:/model', 'one', 'a/b/c']) {
      const error = await loadModel(path, hub.options).catch((reason: unknown) => reason)
      expect(error, path).toMatchObject({ code: 'ERR_MODEL_NOT_FOUND' })
    }
    expect(hub.requests).toEqual([])
  })

  test('expands ~ to the home folder', async () => {
    vi.stubEnv('HOME', dirname(llama))
    await using model = await loadModel('~/llama')
    expect(model.path).toBe(llama)
    vi.unstubAllEnvs()
  })
})
