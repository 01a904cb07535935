// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Files that are made to take time or memory. What each limit is: docs/limits.md.

import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, inChild, loadInChild, type Outcome } from '../helpers/child'
import { makeLongModel, makeModel, scratch, type Json } from '../helpers/models'

const withTemplate = (template: string): string =>
  makeModel({ files: { 'chat_template.jinja': template } })

test('row 57: a prompt that a template makes too long is not tokenized', async () => {
  const repeated = "{% set n = 600000 %}{% set x = 'ab cd ' * n %}{% for i in range(10) %}{{ x }}"
  const outcomes = await inChild(
    async ({ load, outcome }, path) => {
      const model = await load(path)
      const generate = await outcome(model.generate('x'))
      return {
        generate,
        sanitized: await outcome(model.generate('x', { sanitizeControlTokens: true })),
      }
    },
    withTemplate(`${repeated}{% endfor %}`),
  )
  expectCodes(outcomes, 'ERR_CONTEXT_OVERFLOW')
  expect(outcomes.generate.details).toMatchObject({ promptCharacters: 36_000_000, limit: 512 })
})

const replace = (length: number): Json => ({
  type: 'Replace',
  pattern: { String: 'a' },
  content: 'a'.repeat(length),
})

test('row 59: what a normalizer makes of a text is measured before it is made', async () => {
  const map = Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('x'.repeat(1000))])
  const withNormalizer = (normalizer: Json) =>
    makeModel({ tokenizer: (json) => (json['normalizer'] = normalizer) })
  const precompiled = { type: 'Precompiled', precompiled_charsmap: map.toString('base64') }
  expectCodes(
    await loadInChild({ precompiled: withNormalizer(precompiled) }),
    'ERR_TOKENIZER_INVALID',
  )
  const { growth, ...outcomes } = await inChild(
    async ({ load, outcome }, path) => {
      const { tokenizer } = await load(path)
      const short = await outcome(tokenizer.encode('ﷺ'.repeat(1000)))
      const before = process.resourceUsage().maxRSS
      const long = await outcome(tokenizer.encode('ﷺ'.repeat(1_000_000)))
      return { short, long, growth: process.resourceUsage().maxRSS - before }
    },
    withNormalizer({ type: 'NFKC' }),
  )
  expect(outcomes.short.code).toBeUndefined()
  expect(outcomes.long.code).toBe('ERR_TOKENIZE_FAILED')
  // Kilobytes: 33 MB of text would take 600 MB with the positions of its letters.
  expect(growth).toBeLessThan(200_000)
})

test('row 59: a text that a normalizer makes too long is not tokenized', async () => {
  const withNormalizers = (...normalizers: Json[]) =>
    makeModel({
      tokenizer: (json) => {
        json['normalizer'] = { type: 'Sequence', normalizers }
      },
    })
  expectCodes(
    await loadInChild({ together: withNormalizers(replace(31), replace(32)) }),
    'ERR_TOKENIZER_INVALID',
  )
  const outcomes = await inChild(
    async ({ load, outcome }, path) => {
      const model = await load(path)
      const encode = (text: string) => outcome(model.tokenizer.encode(text))
      return {
        long: await encode('a'.repeat(100_000)),
        short: await encode('ab'),
        none: await encode('b'),
      }
    },
    withNormalizers(replace(32)),
  )
  expect(outcomes.long.code).toBe('ERR_TOKENIZE_FAILED')
  expect([outcomes.short.code, outcomes.none.code]).toEqual([undefined, undefined])
})

const KEY =
  "{% set n = 30000000 %}{% set k = 'a' * n %}{% set m = {k: 1} %}{% set l = [{}] * 9999 %}"
const OPERATIONS = {
  item: '{% set y = m[k] %}',
  in: '{% set y = k in m %}',
  get: '{% set y = m.get(k) %}',
  attr: '{% set y = m|attr(k) %}',
  dict: '{% set y = dict(m) %}',
  arguments: '{% set y = dict(**m) %}',
  map: '{% set y = l|map(attribute=k)|list %}',
  sort: '{% set y = l|sort(attribute=k) %}',
  selectattr: '{% set y = l|selectattr(k)|list %}',
  startingwith: '{% set y = k is startingwith(k) %}',
  endingwith: '{% set y = k is endingwith(k) %}',
  sameas: '{% set y = k is sameas(k) %}',
  break: '{% for c in k %}{% break %}{% endfor %}',
}

test('row 60: every operation of a template is limited', async () => {
  const templates = Object.entries(OPERATIONS).map(([name, operation]) => [
    name,
    withTemplate(`${KEY}{% for i in range(99999) %}${operation}{% endfor %}`),
  ])
  const outcomes = await inChild(
    async ({ load, outcome }, folders) => {
      const found: Record<string, Outcome> = {}
      for (const [name, folder] of Object.entries<string>(folders)) {
        const model = await load(folder)
        const start = performance.now()
        const { code } = await outcome(model.generate('x'))
        const ms = performance.now() - start
        found[name] = { code: ms < 3000 ? (code ?? 'none') : `${code} after ${ms} ms` }
      }
      return found
    },
    Object.fromEntries(templates) as Record<string, string>,
  )
  expectCodes(outcomes, 'ERR_CHAT_TEMPLATE_LIMIT')
})

test(
  'row 60: who stops a slow template does not wait for it, nor does another model',
  { retry: 3 },
  async () => {
    // As many instructions as are allowed.
    const slow = withTemplate(
      '{% for i in range(9999) %}{% for j in range(99) %}{% set y = j %}{% endfor %}{% endfor %}',
    )
    const { alone, worst, ...outcomes } = await inChild(async ({ load, model, outcome }, path) => {
      const [bad, disposed] = [await load(path), await load(path)]
      const timed = async (start: () => PromiseLike<unknown>) => {
        const began = performance.now()
        const ended = await outcome(start)
        return { ...ended, ms: performance.now() - began }
      }
      const whole = await timed(() => bad.generate('x'))
      const runs = Array.from({ length: 16 }, () =>
        timed(() => bad.generate('x', { signal: AbortSignal.timeout(20) })),
      )
      const going = timed(() => disposed.generate('x'))
      const good = await timed(() => model.generate('Hello', { maxTokens: 2 }))
      const other = await timed(() => load(path))
      await disposed.dispose()
      const aborted = await Promise.all(runs)
      return {
        alone: whole.ms,
        worst: Math.max(good.ms, other.ms, ...aborted.map(({ ms }) => ms)),
        codes: aborted.map(({ code }) => code),
        others: [good, other, await going].map(({ code }) => code ?? 'none'),
      }
    }, slow)
    expect(new Set(outcomes.codes)).toEqual(new Set(['ABORT_ERR']))
    expect(outcomes.others).toEqual(['none', 'none', 'ERR_MODEL_DISPOSED'])
    expect(worst).toBeLessThan(Math.max(alone * 4, 1000))
  },
)

test('row 61: words that WordPiece takes apart have a limit', async () => {
  const wordPiece = (letters: number) =>
    makeModel({
      tokenizer: (json) => {
        Object.assign(json, { normalizer: null, post_processor: null, decoder: null })
        json['pre_tokenizer'] = { type: 'WhitespaceSplit' }
        json['model'] = {
          type: 'WordPiece',
          unk_token: '[UNK]',
          continuing_subword_prefix: '##',
          max_input_chars_per_word: letters,
          vocab: { '[UNK]': 0, a: 1, '##a': 2 },
        }
      },
      tokenizerConfig: { tokenizer_class: 'PreTrainedTokenizerFast' },
    })
  expectCodes(await loadInChild({ long: wordPiece(10_000) }), 'ERR_TOKENIZER_INVALID')
  const outcome = await inChild(async ({ load, outcome: ended }, path) => {
    const model = await load(path)
    return ended(model.tokenizer.encode('a'.repeat(200)))
  }, wordPiece(200))
  expect(outcome.value).toHaveLength(200)
})

/** The safetensors file of that many empty tensors. */
function emptyTensors(file: number, count: number): Uint8Array {
  const entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
  const entries = Array.from({ length: count }, (_, index) => `"x${file}.${index}":${entry}`)
  const header = Buffer.from(`{${entries.join(',')}}`)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header])
}

test(
  'row 62: the tensors of all files have one limit, and other models go on meanwhile',
  { retry: 3 },
  async () => {
    const shards = (count: number) =>
      makeModel({
        files: Object.fromEntries(
          Array.from({ length: count }, (_, at) => [
            `model-x${at}.safetensors`,
            emptyTensors(at, 60_000),
          ]),
        ),
      })
    const folders = { many: shards(2), 'too many': shards(3) }
    const { pause, ...outcomes } = await inChild(
      async ({ mlx, load, outcome, sleep }, { long, ...paths }) => {
        const model = await load(long)
        const run = model.generate([1], { maxTokens: 90_000, ignoreEos: true, maxKvSize: 64 })
        let [last, worst, ended] = [performance.now(), 0, false]
        const reading = (async () => {
          for await (const _ of run) {
            worst = Math.max(worst, performance.now() - last)
            last = performance.now()
            if (ended) break
          }
        })()
        await sleep(200)
        worst = 0
        const found: Record<string, Outcome> = {}
        for (const [name, path] of Object.entries(paths)) {
          found[name] = await outcome(mlx.loadModel(path))
          delete found[name].message
        }
        ended = true
        await reading
        return { ...found, pause: worst }
      },
      { ...folders, long: makeLongModel() },
    )
    expect(outcomes).toMatchObject({
      many: { code: 'ERR_WEIGHTS_MISMATCH' },
      'too many': { code: 'ERR_WEIGHTS_INVALID' },
    })
    // On an idle machine a tenth of it.
    expect(pause).toBeLessThan(2000)
  },
)

test('row 63: ids that end an answer are those of the model, each once', async () => {
  const ids = Array.from({ length: 100_000 }, (_, index) => index % 50_000)
  const folder = makeModel({
    files: { 'generation_config.json': JSON.stringify({ eos_token_id: [9, 9, 7, ...ids] }) },
  })
  const found = await inChild(async ({ load }, path) => {
    const model = await load(path)
    return model.tokenizer.eosTokenIds
  }, folder)
  expect(found.slice(0, 2)).toEqual([9, 7])
  expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 288 }, (_, id) => id))
})

test('row 65: a config of many megabytes is invalid', async () => {
  const padded = (file: string) => ({ [file]: `{"model_type":"llama","x":[${'0,'.repeat(3e6)}0]}` })
  expectCodes(
    await loadInChild({
      config: makeModel({ files: padded('config.json') }),
      tokenizer: makeModel({ files: padded('tokenizer_config.json') }),
      template: makeModel({ files: { 'chat_template.jinja': 'x'.repeat(5e6) } }),
    }),
    'ERR_CONFIG_INVALID',
  )
})

test('row 66: many added tokens and a long template are compared in time', async () => {
  const withTokens = (count: number, kilobytes: number) =>
    makeModel({
      tokenizer: (json) => {
        const tokens = json['added_tokens'] as Json[]
        const more = Array.from({ length: count }, (_, index) => ({
          ...tokens[0],
          id: 288 + index,
          content: `<${index.toString(36).padStart(6, 'z')}>`,
          special: false,
        }))
        json['added_tokens'] = [...tokens, ...more]
      },
      files: {
        'chat_template.jinja': `{# ${'<zzz'.repeat(kilobytes * 250)} #}{{ messages[0].content }}`,
      },
    })
  const outcomes = await inChild(
    async ({ load, outcome }, paths) => {
      const found: Record<string, unknown> = {}
      for (const [name, path] of Object.entries(paths)) {
        const model = await load(path)
        const start = performance.now()
        const options = { sanitizeControlTokens: true, maxTokens: 2 }
        const { code } = await outcome(model.generate('hello', options))
        found[name] = { code, isSlow: performance.now() - start > 3000 }
      }
      return found
    },
    { long: withTokens(50_000, 2000), usual: withTokens(10_000, 200) },
  )
  expect(outcomes).toEqual({
    long: { code: 'ERR_CHAT_TEMPLATE_LIMIT', isSlow: false },
    usual: { isSlow: false },
  })
})

test('row 66: too many added tokens are not read', async () => {
  const tokenizer = (json: Json): void => {
    const [first] = json['added_tokens'] as [Json]
    json['added_tokens'] = Array.from({ length: 140_000 }, (_, index) => ({
      ...first,
      id: 288 + index,
      content: `${index}`,
    }))
  }
  const outcomes = await loadInChild({ many: makeModel({ tokenizer }) })
  expectCodes(outcomes, 'ERR_TOKENIZER_INVALID')
  expect(outcomes.many.message).toContain('too many added tokens')
})

test('row 68: a link to a file that is gone is not taken for a file that is absent', async () => {
  const withLink = (file: string) => {
    const folder = makeModel()
    rmSync(join(folder, file), { force: true })
    symlinkSync(join(folder, 'nowhere'), join(folder, file))
    return folder
  }
  const outcomes = await loadInChild({
    'chat_template.jinja': withLink('chat_template.jinja'),
    'tokenizer_config.json': withLink('tokenizer_config.json'),
    'generation_config.json': withLink('generation_config.json'),
  })
  expectCodes(outcomes, 'ERR_MODEL_FILE_MISSING')
  for (const [file, { details }] of Object.entries(outcomes))
    expect(details).toMatchObject({ file })
})

test('row 69: a link in place of a lock is not followed', async () => {
  const [target, link, plain] = ['target', 'link.lock', 'plain.lock'].map((name) =>
    join(scratch(), name),
  ) as [string, string, string]
  symlinkSync(target, link)
  writeFileSync(plain, '')
  const locked = await inChild(
    async ({ addon, outcome }, [first, second]) => [
      (await outcome(() => addon.tryLockFile(first))).code !== undefined,
      addon.tryLockFile(second) !== null,
    ],
    [link, plain] as const,
  )
  expect(locked).toEqual([true, true])
  expect(existsSync(target)).toBe(false)
})
