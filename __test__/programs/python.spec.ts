// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Programs in Python, each run with a small input. Many need mlx-lm, which the parity oracle has (`npm run parity` makes
// its environment), and training needs PyTorch, in a Python that NODE_MLX_TORCH names.

import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel } from 'node-mlx'
import { describe, expect, test } from 'vitest'
import { folderFiles } from '../helpers/hub-server'
import { demoModel, makeModel, root, scratch } from '../helpers/models'
import { PYTHON } from '../helpers/python'
import { hasModules, NODE, PYTHON3, runProgram } from '../helpers/run-program'

const TIMEOUT_MS = 240_000
const TORCH = process.env['NODE_MLX_TORCH'] ?? PYTHON
const hasOracle = existsSync(PYTHON)
const TRANSFORMERS =
  process.env['NODE_MLX_TRANSFORMERS'] ?? join(root, 'target/transformers/bin/python')
const hasTransformers = existsSync(TRANSFORMERS)
const hasTorch = existsSync(TORCH) && hasModules(TORCH, 'torch')
/** Why tests are skipped, for their titles. */
const unlessOracle = hasOracle ? '' : ' (skipped: npm run parity has not been run)'
const unlessTransformers = hasTransformers ? '' : ' (skipped: venv.py has not made it)'
const unlessTorch = hasTorch ? '' : ' (skipped: NODE_MLX_TORCH names no Python with PyTorch)'

const DEMO_TOOLS = join(root, 'tools/demo-model')
const PARITY = join(root, 'tools/parity')
const TEXT_FILES = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja']

/** train.py, but with few texts for the tokenizer, and short answers. */
const SHORT_TRAINING = `
import generate, train
train.TOKENIZER_TEXTS = 2000
generate.MAX_NEW_TOKENS = 2
train.main()
`

/** What run.py does with --write, on rows that are given. */
const WRITE_TABLE = `
import json, pathlib, sys, table
path, rows, fixtures = sys.argv[1:]
table.write(pathlib.Path(path), mlx_lm=table.mlx_lm(json.loads(rows), pathlib.Path(fixtures)))
`

describe('standard library', () => {
  test('npm run mutations -- --list: every mistake can be planted', async () => {
    const { stdout } = await runProgram(PYTHON3, [join(PARITY, 'mutations.py'), '--list'])
    const [, possible, all] = /^(\d+) of (\d+) mistakes can be planted$/mu.exec(stdout) ?? []
    expect(Number(all)).toBeGreaterThan(100)
    expect(possible).toBe(all)
  })

  test('npm run schemas holds a model to schemas of the public test suite', async () => {
    const schemas = join(root, '__test__/schemas/run.mjs')
    const few = ['--match', 'draft7/m', '--runs', '2', '--verbose']
    const { stdout } = await runProgram(NODE, [schemas, ...few])
    expect(stdout).toMatch(/multipleOf: \d+ has too many digits$/mu)
    expect(stdout).toMatch(/^\| `multipleOf` \| 0 \| 1 \|/mu)
    expect(stdout).toMatch(/^[1-9]\d* valid answers, \d+ cut, 0 failures$/mu)
    const { stderr } = await runProgram(NODE, [schemas, '--runs', 'few'], { status: 1 })
    expect(stderr).toBe('node-mlx: --runs must be a number\n')
  })

  test('tools/parity/arm64.py --list: every fixture is committed', async () => {
    const { stdout } = await runProgram(PYTHON3, [join(PARITY, 'arm64.py'), '--list'])
    const [, committed, all] = /^(\d+) of (\d+) fixtures are committed/u.exec(stdout) ?? []
    expect(Number(all)).toBeGreaterThan(5)
    expect(committed).toBe(all)
  })

  test('tools/parity/transformers_oracle.py --list names the committed fixtures', async () => {
    const { stdout } = await runProgram(PYTHON3, [join(PARITY, 'transformers_oracle.py'), '--list'])
    const committed = readdirSync(join(root, '__test__/transformers'))
    expect(stdout.trim().split('\n').toSorted()).toEqual(committed.toSorted())
  })

  test('npm run parity -- --write writes a table like docs/parity.md', async () => {
    const path = join(scratch(), 'parity.md')
    const committed = readFileSync(join(root, 'docs/parity.md'), 'utf8')
    writeFileSync(path, committed)
    const rows = [{ fixture: 'llama-4bit', limit: 0.0002, cases: { short: 5.1e-6, kv4: 2e-5 } }]
    const args = [path, JSON.stringify(rows), join(root, '__test__/fixtures')]
    await runProgram(PYTHON3, ['-c', WRITE_TABLE, ...args], { env: { PYTHONPATH: PARITY } })
    const [before, table, after] = readFileSync(path, 'utf8').split(
      /(?<=begin mlx-lm -->\n)|(?=<!-- end mlx-lm)/u,
    )
    const [head, , ...lines] = table?.trim().split('\n') ?? []
    expect(lines).toEqual([
      '| llama-4bit | llama | 4 bits in groups of 64 | 6e-6 |  |  |  |  | 2e-5 |',
    ])
    expect(committed).toContain(head)
    expect(committed.startsWith(before ?? '')).toBe(true)
    expect(committed.endsWith(after ?? '')).toBe(true)
  })

  test('tools/parity/venv.py refuses a Python without the oracle', async () => {
    const { stderr } = await runProgram(PYTHON3, [join(PARITY, 'venv.py')], {
      env: { NODE_MLX_ORACLE: '/dev/null' },
      status: 1,
    })
    expect(stderr).toMatch(/^error: \/dev\/null lacks mlx-lm or mlx: /u)
  })
})

describe.skipIf(!hasOracle)(`mlx-lm${unlessOracle}`, { timeout: TIMEOUT_MS }, () => {
  test('tools/parity/venv.py finds the oracle', async () => {
    const { stdout } = await runProgram(PYTHON3, [join(PARITY, 'venv.py')], {
      env: { NODE_MLX_ORACLE: PYTHON },
    })
    expect(stdout.trim()).toBe(PYTHON)
  })

  test('npm run bench -- --quick speed cold load', async () => {
    const bench = join(root, '__test__/bench/run.mjs')
    const { stdout } = await runProgram(NODE, [bench, '--quick', 'speed', 'cold', 'load'])
    for (const name of ['4bit decode, tokens/s', 'cold start, s', '4bit load, s', '4bit MiB held'])
      expect(stdout).toMatch(new RegExp(`^${name}( +[\\d.e-]+){3}$`, 'mu'))
  })

  test('node-mlx bench runs mlx_lm.benchmark', async () => {
    const model = makeModel({ config: { max_position_embeddings: 1000 } })
    const args = [join(root, 'dist/cli/bin.js'), 'bench', model, '--python', PYTHON]
    const { stdout } = await runProgram(NODE, args)
    expect(stdout).toMatch(/^prompt of 512, tokens\/s( +[\d.]+){3}$/mu)
    expect(stdout).toMatch(/^answer after it, tokens\/s( +[\d.]+){3}$/mu)
    expect(stdout).toMatch(/^mlx-lm with MLX [\d.]+$/mu)
  })

  test('node-mlx bench runs no code of a model', async () => {
    const model = makeModel({
      config: { max_position_embeddings: 1000 },
      tokenizerConfig: { auto_map: { AutoTokenizer: ['tokens.Tokens', null] } },
    })
    const ran = join(scratch(), 'ran')
    const tokens = 'from transformers import PreTrainedTokenizerFast as Tokens'
    const evil = `open(${JSON.stringify(ran)}, 'w').close()\n`
    writeFileSync(join(model, 'tokens.py'), `${evil}${tokens}\n`)
    // Imported on the way to mlx-lm, if at all.
    writeFileSync(join(model, 'csv.py'), evil)
    const args = [join(root, 'dist/cli/bin.js'), 'bench', model, '--python', PYTHON]
    const { stdout } = await runProgram(NODE, args, { cwd: model })
    expect(stdout).not.toContain('has no mlx-lm')
    expect(existsSync(ran)).toBe(false)
  })

  test('npm run bench -- --quick llama-cpp', async () => {
    const bench = join(root, '__test__/bench/run.mjs')
    const { stdout } = await runProgram(NODE, [bench, '--quick', 'llama-cpp'])
    for (const name of ['prefill', 'decode'])
      expect(stdout).toMatch(new RegExp(`^  ${name}, tokens/s( +[\\d.e-]+){3}$`, 'mu'))
    expect(stdout).toMatch(/^ {2}memory is read at [\d.]+ GB\/s$/mu)
  })

  test('tools/parity/real_tokenizers.py writes the committed goldens', async () => {
    await runProgram(NODE, [join(root, 'scripts/tokenizers.mjs')])
    const out = join(scratch(), 'tokenizers')
    await runProgram(PYTHON, [join(PARITY, 'real_tokenizers.py'), '--out', out])
    const committed = join(root, '__test__/tokenizers')
    const files = readdirSync(committed)
    expect(readdirSync(out).toSorted()).toEqual(files.toSorted())
    for (const file of files)
      expect(readFileSync(join(out, file), 'utf8')).toBe(
        readFileSync(join(committed, file), 'utf8'),
      )
  })

  test('tools/demo-model/evaluate.py judges an answer', async () => {
    const set = join(scratch(), 'heldout.jsonl')
    const check = { kind: 'contains', value: 'Paris' }
    const messages = [{ role: 'user', content: 'What is the capital of France?' }]
    const chatTemplateArgs = { enable_thinking: false }
    const cases = [check, { ...check, value: 'Rome' }].map((each) =>
      JSON.stringify({ skill: 'capitals', messages, chatTemplateArgs, check: each }),
    )
    writeFileSync(set, `${cases.join('\n')}\n`)
    const evaluate = [join(DEMO_TOOLS, 'evaluate.py'), demoModel, set]
    const { stdout } = await runProgram(PYTHON, evaluate, { status: 1 })
    expect(stdout).toMatch(/^wrong: .*Paris/mu)
    expect(stdout).toMatch(/^all +1 of +2 +50\.0%$/mu)
  })

  test('make_model.py and quantize.py make a model that loads', async () => {
    const trained = join(scratch(), 'trained')
    const script = join(root, '__test__/bench/make_model.py')
    await runProgram(PYTHON, [script, trained, 'bf16', 'tiny'])
    for (const file of [...TEXT_FILES, 'generation_config.json'])
      cpSync(join(demoModel, file), join(trained, file))
    const quantized = join(scratch(), 'quantized')
    await runProgram(PYTHON, [join(DEMO_TOOLS, 'quantize.py'), trained, quantized])
    await using model = await loadModel(quantized)
    expect(
      (await model.generate([1, 2, 3], { maxTokens: 2, ignoreEos: true })).tokens,
    ).toHaveLength(2)
    const config = JSON.parse(readFileSync(join(quantized, 'config.json'), 'utf8')) as object
    expect(config).toMatchObject({ quantization: { bits: 8, group_size: 64 } })
  })

  test('python -m corpus shows conversations', async () => {
    const options = { cwd: DEMO_TOOLS, env: { PYTHONDONTWRITEBYTECODE: '1' } }
    const { stdout } = await runProgram(PYTHON, ['-m', 'corpus', '5', 'tools'], options)
    expect(stdout.match(/^-{72}$/gmu)).toHaveLength(5)
    expect(stdout).toContain('<tool_call>')
  })

  test('python -m corpus.heldout writes the committed set', async () => {
    const copy = join(scratch(), 'demo-model')
    cpSync(DEMO_TOOLS, copy, { recursive: true })
    writeFileSync(join(copy, 'heldout.jsonl'), '')
    const { stdout } = await runProgram(PYTHON, ['-m', 'corpus.heldout', '500'], { cwd: copy })
    expect(stdout).toMatch(
      /^none of the \d+ held-out questions among 500 training conversations$/mu,
    )
    expect(readFileSync(join(copy, 'heldout.jsonl'), 'utf8')).toBe(
      readFileSync(join(DEMO_TOOLS, 'heldout.jsonl'), 'utf8'),
    )
  })

  test('tools/parity/fixtures.py makes a fixture', async () => {
    const args = [join(PARITY, 'fixtures.py'), '--out', scratch(), 'llama-4bit']
    const env = { PYTHONDONTWRITEBYTECODE: '1', PYTHONHASHSEED: '0', MLX_DISABLE_COMPILE: '1' }
    await runProgram(PYTHON, args, { env })
    expect(readFileSync(join(scratch(), 'llama-4bit/config.json'), 'utf8')).toBe(
      readFileSync(join(root, '__test__/fixtures/llama-4bit/config.json'), 'utf8'),
    )
  })
})

describe.skipIf(!hasTorch)(`PyTorch${unlessTorch}`, { timeout: 2 * TIMEOUT_MS }, () => {
  test('tools/demo-model/train.py trains for a step', async () => {
    const out = join(scratch(), 'trained-once')
    const args = ['--out', out, '--device', 'cpu', '--steps', '1', '--rows', '1', '--workers', '1']
    const env = { PYTHONPATH: DEMO_TOOLS, PYTHONDONTWRITEBYTECODE: '1' }
    const { stdout } = await runProgram(TORCH, ['-c', SHORT_TRAINING, ...args], { env })
    expect(stdout).toMatch(/^all +\d+ of +774 /mu)
    await using model = await loadModel(out)
    const { tokens } = await model.generate('Hello!', { maxTokens: 2, ignoreEos: true })
    expect(tokens).toHaveLength(2)
  })
})

describe.skipIf(!hasTransformers)(
  `transformers${unlessTransformers}`,
  { timeout: TIMEOUT_MS },
  () => {
    test('tools/parity/embedders.py writes the committed fixtures', async () => {
      const out = join(scratch(), 'embedders')
      await runProgram(TRANSFORMERS, [join(PARITY, 'embedders.py'), '--out', out])
      expect(folderFiles(out)).toEqual(folderFiles(join(root, '__test__/embedders')))
    })
  },
)
