// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { expectCodes, inChild, loadInChild, type Outcome } from '../helpers/child'
import { makeModel, type Json } from '../helpers/models'

test('row 20: a tokenizer.json that is garbage is invalid', async () => {
  const withText = (text: string) => makeModel({ files: { 'tokenizer.json': text } })
  expectCodes(
    await loadInChild({
      empty: withText(''),
      text: withText('garbage'),
      object: withText('{}'),
      'nested deep': withText('{"model":'.repeat(100_000)),
      'unknown model': makeModel({ tokenizer: (json) => (json['model'] = { type: 'nonsense' }) }),
      'merge of unknown tokens': makeModel({
        tokenizer: ({ model }) => ((model as Json)['merges'] = [['no', 'such']]),
      }),
      'bad regular expression': makeModel({
        tokenizer: (json) => (json['pre_tokenizer'] = splitBy('(')),
      }),
    }),
    'ERR_TOKENIZER_INVALID',
  )
})

test('row 20: a tokenizer.json that would make the tokenizers crate panic or abort is rejected', async () => {
  const craft = (edit: (tokenizer: Json) => void) => makeModel({ tokenizer: edit })
  const folders = {
    'precompiled map': craft((json) => {
      json['normalizer'] = { type: 'Precompiled', precompiled_charsmap: 'AAAA' }
    }),
    'precompiled map, wrong size': craft((json) => {
      json['normalizer'] = { type: 'Precompiled', precompiled_charsmap: '/////w==' }
    }),
    'stride beyond length': craft((json) => {
      json['truncation'] = {
        direction: 'Right',
        max_length: 1,
        strategy: 'LongestFirst',
        stride: 10,
      }
    }),
    'padding to a multiple of zero': craft((json) => {
      json['padding'] = padding({ strategy: 'BatchLongest', pad_to_multiple_of: 0 })
    }),
    'padding to 2^60': craft((json) => {
      json['padding'] = padding({ strategy: { Fixed: 2 ** 60 }, pad_to_multiple_of: null })
    }),
    'normalizers nested deep': craft((json) => {
      json['normalizer'] = nested(1000)
    }),
    'dropout of 2': craft(({ model }) => ((model as Json)['dropout'] = 2)),
    'unigram without vocabulary': craft((json) => {
      json['model'] = { type: 'Unigram', unk_id: 0, vocab: [] }
    }),
    'unigram with an unknown id of 2^53': craft((json) => {
      json['model'] = { type: 'Unigram', unk_id: 2 ** 53, vocab: [['a', 0]] }
    }),
    'word piece of no characters': craft((json) => {
      json['model'] = {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 0,
        vocab: {},
      }
    }),
  }
  const outcomes = await inChild(async ({ load, outcome }, paths) => {
    const found: Record<string, Outcome> = {}
    for (const [name, path] of Object.entries(paths)) {
      found[name] = await outcome(async () => {
        const model = await load(path)
        return (await model.tokenizer.encode('a text')).length
      })
    }
    return found
  }, folders)
  for (const [name, outcome] of Object.entries(outcomes)) {
    const allowed = [
      'ERR_TOKENIZER_INVALID',
      'ERR_TOKENIZER_MISMATCH',
      'ERR_TOKENIZE_FAILED',
      undefined,
    ]
    expect(allowed, name).toContain(outcome.code)
  }
})

test('row 21: a token id without an embedding is a mismatch', async () => {
  const outcomes = await loadInChild({
    vocabulary: makeModel({
      tokenizer: ({ model }) => (((model as Json)['vocab'] as Json)['beyond'] = 5000),
    }),
  })
  expectCodes(outcomes, 'ERR_TOKENIZER_MISMATCH')
  expect(outcomes.vocabulary.details).toMatchObject({ largestId: 5000, rows: 288 })
})

// Gemma 3 1B has such a token: it is for images, which the weights know nothing of.
test('row 21: an added token without an embedding is rejected when it is used', async () => {
  const folder = makeModel({
    tokenizer: (json) => {
      const tokens = json['added_tokens'] as Json[]
      tokens.push({ ...tokens[0], id: 288, content: '<|beyond|>' })
    },
  })
  const outcomes = await inChild(async ({ load, outcome }, path) => {
    const model = await load(path)
    return {
      raw: await outcome(model.generate('<|beyond|>', { raw: true })),
      message: await outcome(model.generate('hello <|beyond|>')),
    }
  }, folder)
  expectCodes(outcomes, 'ERR_OUT_OF_RANGE')
})

test("row 22: a text that exceeds the tokenizer's limits fails, and the model stays usable", async () => {
  const folder = makeModel({
    tokenizer: (json) => (json['pre_tokenizer'] = splitBy('(?:(?=a)(a|aa)+)$b')),
  })
  const outcomes = await inChild(async ({ load, outcome }, path) => {
    const model = await load(path)
    const text = 'a'.repeat(30_000)
    return {
      encode: await outcome(model.tokenizer.encode(text)),
      generate: await outcome(model.generate(text, { raw: true })),
      after: await outcome(model.generate('short', { raw: true, maxTokens: 2 })),
    }
  }, folder)
  expectCodes({ encode: outcomes.encode, generate: outcomes.generate }, 'ERR_TOKENIZE_FAILED')
  expect(outcomes.after.code).toBeUndefined()
})

test('row 22: token ids whose text would be too long are not decoded', async () => {
  const withToken = (length: number) =>
    makeModel({
      tokenizer: (json) => {
        const [first] = json['added_tokens'] as [Json]
        json['added_tokens'] = [{ ...first, content: 'a'.repeat(length), special: false }]
      },
    })
  expectCodes(await loadInChild({ long: withToken(10_000) }), 'ERR_TOKENIZER_INVALID')
  const outcomes = await inChild(async ({ load, outcome }, path) => {
    const { tokenizer } = await load(path)
    const [id = 0] = await tokenizer.encode('a'.repeat(8000))
    const decode = (count: number) => outcome(tokenizer.decode(new Uint32Array(count).fill(id)))
    return { few: await decode(10), many: await decode(2 ** 20) }
  }, withToken(8000))
  expect(outcomes.few.value).toHaveLength(80_000)
  expectCodes({ many: outcomes.many }, 'ERR_OUT_OF_RANGE')
})

test('row 22: a regular expression that does not end is not waited for', async () => {
  const folder = makeModel({
    tokenizer: (json) => (json['pre_tokenizer'] = splitBy('(?=a*x)a')),
  })
  const outcomes = await inChild(async ({ load, model, outcome }, path) => {
    const bad = await load(path)
    // Each looks through the rest of the text at each letter. Four take all threads of their model.
    const texts = Array.from({ length: 5 }, () => bad.tokenizer.encode('a'.repeat(500_000)))
    const ended = Promise.all(texts.map(outcome))
    const good = await outcome(model.generate('Hello', { maxTokens: 2 }))
    return { good, ended: await ended }
  }, folder)
  expect(outcomes.good.code).toBeUndefined()
  expectCodes(Object.fromEntries(outcomes.ended.entries()), 'ERR_TOKENIZE_FAILED')
  expect(outcomes.ended.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/take all of its threads|takes too long/u),
  )
})

test('row 23: the error of an invalid or raising chat template gives the reason, and raw prompts still work', async () => {
  const withTemplate = (template: string) =>
    makeModel({ tokenizerConfig: { chat_template: template } })
  const folders = {
    syntax: withTemplate('{% if %}'),
    'unknown function': withTemplate('{{ nonsense() }}'),
    refusal: withTemplate('{{ raise_exception("no system role here") }}'),
  }
  const outcomes = await inChild(async ({ load, outcome }, paths) => {
    const found: Record<string, Record<string, Outcome>> = {}
    for (const [name, path] of Object.entries(paths)) {
      const model = await load(path)
      found[name] = {
        generate: await outcome(model.generate('hello')),
        render: await outcome(model.tokenizer.applyChatTemplate([{ role: 'user', content: 'a' }])),
        raw: await outcome(model.generate('hello', { raw: true, maxTokens: 2 })),
      }
    }
    return found
  }, folders)
  for (const found of Object.values(outcomes)) {
    expect(found).toMatchObject({
      generate: { code: 'ERR_CHAT_TEMPLATE' },
      render: { code: 'ERR_CHAT_TEMPLATE' },
      raw: { value: { finishReason: 'length' } },
    })
  }
  expect(outcomes['refusal']?.['generate']?.message).toContain('no system role here')
})

function splitBy(regex: string): Json {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }
}

function padding(changes: Json): Json {
  return { direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: '!', ...changes }
}

function nested(depth: number): Json {
  let normalizer: Json = { type: 'NFC' }
  for (let level = 0; level < depth; level += 1) {
    normalizer = { type: 'Sequence', normalizers: [normalizer] }
  }
  return normalizer
}
