// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Runs the examples of Cargo.toml with small inputs. `npm test` does this after Rust's tests, with which cargo builds them.

import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../scripts/shared.mjs'

const demo = join(root, 'models/demo')
const scratch = mkdtempSync(join(tmpdir(), 'node-mlx-examples-'))

try {
  const speed = JSON.parse(run('speed', demo, '8', '2', '0'))
  assert.ok(speed.decode > 0 && speed.prefill > 0)
  const options = JSON.parse(run('speed', 'options', demo, '8', '2', '1'))
  assert.deepEqual(Object.keys(options).toSorted(), ['both', 'penalties', 'plain', 'topP'])
  console.log('✓ speed')

  assert.match(run('rows', '1'), /^ +1 +[\d.]+ms +[\d.]+ms +[\d.]+ms$/mu)
  console.log('✓ rows')

  const tokenizer = JSON.parse(run('load-tokenizer', demo, '1'))
  assert.ok(tokenizer.ours > 0 && tokenizer.crate > 0)
  console.log('✓ load-tokenizer')

  const fixtures = join(root, '__test__/fixtures')
  const operations = JSON.parse(run('operations', fixtures, 'llama-4bit'))
  assert.equal(operations['llama-4bit'].ArgReduce, 1)
  console.log('✓ operations')

  const masks = JSON.parse(run('masks', demo, '1'))
  assert.ok(masks.tokens > 0 && masks.setup > 0 && masks.first > 0 && masks.hidden > 0)
  console.log('✓ masks')

  const products = run('products', 'quick')
  assert.match(products, /^memory: +[\d.]+ GB\/s/mu)
  assert.match(products, /^(?:portable|neon) +64 x 128 · +1: .* GFLOP\/s$/mu)
  console.log('✓ products')

  const template = {
    name: 'greeting',
    chat_template: '{% for m in messages %}{{ m.role }}: {{ m.content | upper }}{% endfor %}',
    data: { messages: [{ role: 'user', content: 'hello' }] },
    target: 'user: HELLO',
  }
  const file = join(scratch, 'templates.json')
  writeFileSync(file, JSON.stringify([template]))
  assert.match(run('chat-templates', file), /^1\/1 templates render exactly$/mu)
  writeFileSync(file, JSON.stringify([{ ...template, target: 'user: hello' }]))
  assert.throws(() => run('chat-templates', file), { status: 1 })
  console.log('✓ chat-templates')
} finally {
  rmSync(scratch, { recursive: true })
}

function packageOf(example) {
  return example === 'products' ? 'cpu-kernels' : 'node-mlx'
}

/** What an example prints. */
function run(example, ...args) {
  const cargo = [
    'run',
    '--release',
    '--quiet',
    '-p',
    packageOf(example),
    '--example',
    example,
    '--',
    ...args,
  ]
  const stdio = ['ignore', 'pipe', 'inherit']
  return execFileSync('cargo', cargo, { cwd: root, encoding: 'utf8', stdio })
}
