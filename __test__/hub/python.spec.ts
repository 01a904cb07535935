// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// One cache for this package and for Python's huggingface_hub. Needs the environment of `npm run parity`.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { downloadModel, loadModel } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { FOLDER } from '../helpers/hub-download'
import { COMMIT, folderFiles, ID, startHub, type Hub } from '../helpers/hub-server'
import { root } from '../helpers/models'

const PYTHON = process.env['NODE_MLX_ORACLE'] ?? join(root, 'target/oracle/bin/python')

describe.skipIf(!existsSync(PYTHON))('Python', { timeout: 120_000 }, () => {
  test('what snapshot_download wrote is used without a request for its files', async () => {
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

  test('snapshot_download adds what it wants more', async () => {
    const hub = await startHub({ ...folderFiles(), 'modeling.py': Buffer.from('raise SystemExit') })
    const folder = await downloadModel(ID, hub.options)
    hub.requests.length = 0
    const program = `from huggingface_hub import snapshot_download
print(snapshot_download('${ID}'))`
    expect(await python(hub, program)).toBe(folder)
    expect(readdirSync(folder)).toContain('modeling.py')
    expect(new Set(hub.fileRequests())).toEqual(
      new Set([`hub /${ID}/resolve/${COMMIT}/modeling.py`]),
    )
  })
})

async function python(
  hub: Hub,
  program: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { HOME, PATH } = process.env
  const { cacheDir, endpoint } = hub.options
  const child = spawn(PYTHON, ['-c', program], {
    env: { HOME, PATH, HF_HUB_CACHE: cacheDir, HF_ENDPOINT: endpoint, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const status = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  expect(await status, stderr).toBe(0)
  return stdout.trim()
}
