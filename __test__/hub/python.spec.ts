// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// One cache for this package and for Python's huggingface_hub. Needs the environment of `npm run parity`.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadModel, loadModel } from 'node-mlx'
import { describe, expect, test, vi } from 'vitest'
import { hubCache } from '../../lib/hub/settings'
import { FOLDER } from '../helpers/hub-download'
import { COMMIT, folderFiles, ID, startHub, type Hub } from '../helpers/hub-server'
import { root } from '../helpers/models'
import { PYTHON, python, start } from '../helpers/python'

const SNAPSHOT_DOWNLOAD = `from huggingface_hub import snapshot_download
print(snapshot_download('${ID}'))`
/** Python needs seconds to load its modules. */
const START = { timeout: 60_000 }

describe.skipIf(!existsSync(PYTHON))('Python', () => {
  test('the files of snapshot_download are used without requesting them', async () => {
    const hub = await startHub({ ...folderFiles(), 'README.md': Buffer.from('# Tiny') })
    const folder = await python(
      hub,
      `from huggingface_hub import snapshot_download
print(snapshot_download('${ID}', allow_patterns=['*.json', '*.safetensors', '*.jinja']))`,
    )
    expect(folder).toBe(join(hub.options.cacheDir, FOLDER, 'snapshots', COMMIT))
    hub.requests.length = 0
    expect(await downloadModel(ID, hub.options)).toBe(folder)
    expect(hub.fileRequests()).toEqual([])
    expect(await downloadModel(ID, { ...hub.options, revision: COMMIT })).toBe(folder)
    expect(hub.requests).toHaveLength(1)
  })

  test('mlx-lm loads what was downloaded here, without a connection', async () => {
    const hub = await startHub({ ...folderFiles(), 'modeling.py': Buffer.from('raise SystemExit') })
    const folder = await downloadModel(ID, hub.options)
    expect(readdirSync(folder)).not.toContain('modeling.py')
    hub.requests.length = 0
    const answer = await python(
      hub,
      `import mlx.core as mx
from mlx_lm import load
model, tokenizer = load('${ID}')
print(mx.argmax(model(mx.array([[1, 2, 3]]))[0, -1]).item())`,
      { HF_HUB_OFFLINE: '1', MLX_DISABLE_COMPILE: '1' },
    )
    await using model = await loadModel(join(root, '__test__/fixtures/llama'))
    const { tokens } = await model.generate([1, 2, 3], { maxTokens: 1, temperature: 0 })
    expect(Number(answer)).toBe(tokens[0])
    expect(hub.requests).toEqual([])
  })

  test('waits for a download here, and then uses it', async () => {
    const hub = await startHub()
    let release: (isAnswered: boolean) => void = () => {}
    const held = new Promise<boolean>((resolve) => {
      release = resolve
    })
    hub.intercept = ({ host }) => host === 'storage' && held
    const folder = downloadModel(ID, hub.options)
    await expect.poll(() => storageRequests(hub), START).toBe(1)
    const waiting = python(hub, SNAPSHOT_DOWNLOAD)
    const isAsked = () => hub.requests.some(({ path }) => path.includes('/tree/'))
    await expect.poll(isAsked, START).toBe(true)
    await sleep(1000)
    expect(storageRequests(hub)).toBe(1)
    release(false)
    expect(await waiting).toBe(await folder)
    expect(storageRequests(hub)).toBe(1)
  })

  test('is waited for while it downloads, but not after it was killed', async () => {
    const hub = await startHub()
    hub.intercept = ({ host }) => host === 'storage'
    const child = start(hub, SNAPSHOT_DOWNLOAD, { HF_HUB_DISABLE_PROGRESS_BARS: '1' })
    await expect.poll(() => storageRequests(hub), START).toBe(1)
    const folder = downloadModel(ID, hub.options)
    await sleep(500)
    expect(storageRequests(hub)).toBe(1)
    hub.intercept = undefined
    child.kill('SIGKILL')
    expect(readdirSync(await folder)).toContain('model.safetensors')
    expect(storageRequests(hub)).toBe(2)
  })

  test('finds no fault in the cache, and reads the environment in the same way', async () => {
    const hub = await startHub()
    await downloadModel(ID, hub.options)
    const scanned = await python(
      hub,
      `from huggingface_hub import scan_cache_dir
cache = scan_cache_dir()
[repo] = cache.repos
print(cache.warnings, repo.repo_id, [*repo.refs], sum(file.size_on_disk for file in [*repo.revisions][0].files))`,
    )
    const size = Object.values(hub.files).reduce((sum, { length }) => sum + length, 0)
    expect(scanned).toBe(`[] ${ID} ['main'] ${size}`)

    const environments = [
      {},
      { HF_HOME: '~/hf' },
      { HF_HOME: '$HOME/a/${X}/$NONE', X: 'x' },
      { HF_HOME: '/h', HF_HUB_CACHE: '~/c' },
      { HF_HOME: 'x~/h' },
      { HF_HUB_CACHE: '$X/b', X: '~/x' },
      { XDG_CACHE_HOME: '~/.xdg' },
      { HUGGINGFACE_HUB_CACHE: '~/old' },
      { HUGGINGFACE_HUB_CACHE: '~/old', HF_HUB_CACHE: '/new' },
    ]
    const paths = await python(
      hub,
      `import importlib, json, os
from pathlib import Path
from huggingface_hub import constants
del os.environ['HF_HUB_CACHE']
for environment in json.loads('${JSON.stringify(environments)}'):
    os.environ.update(environment)
    importlib.reload(constants)
    print(os.path.abspath(Path(constants.HF_HUB_CACHE).expanduser()))
    for name in environment: del os.environ[name]`,
    )
    for (const [index, expected] of paths.split('\n').entries()) {
      vi.stubEnv('HF_HUB_CACHE', '')
      for (const [name, value] of Object.entries(environments[index] ?? {})) vi.stubEnv(name, value)
      expect(hubCache(), JSON.stringify(environments[index])).toBe(expected)
      vi.unstubAllEnvs()
    }
  })

  test('snapshot_download adds the files that it also needs', async () => {
    const hub = await startHub({ ...folderFiles(), 'modeling.py': Buffer.from('raise SystemExit') })
    const folder = await downloadModel(ID, hub.options)
    hub.requests.length = 0
    expect(await python(hub, SNAPSHOT_DOWNLOAD)).toBe(folder)
    expect(readdirSync(folder)).toContain('modeling.py')
    expect(new Set(hub.fileRequests())).toEqual(
      new Set([`hub /${ID}/resolve/${COMMIT}/modeling.py`]),
    )
  })
})

function storageRequests(hub: Hub): number {
  return hub.requests.filter(({ host }) => host === 'storage').length
}
