// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCodes, inChild, type Outcome } from '../helpers/child'
import { makeFifo, makeModel, scratch } from '../helpers/models'

interface Rendered {
  render: Outcome
  /** Whether the model answers a prompt that needs no template. */
  raw: Outcome
}

/** What becomes of each of these templates, in one child process. */
async function applyInChild(templates: Record<string, string>): Promise<Record<string, Outcome>> {
  const folders = Object.fromEntries(
    Object.entries(templates).map(([name, text]) => [
      name,
      makeModel({ files: { 'chat_template.jinja': text } }),
    ]),
  )
  const rendered = await inChild(async ({ mlx, outcome }, paths) => {
    const found: Record<string, Rendered> = {}
    for (const [name, path] of Object.entries(paths)) {
      const model = await mlx.loadModel(path)
      found[name] = {
        render: await outcome(model.tokenizer.applyChatTemplate([{ role: 'user', content: 'a' }])),
        raw: await outcome(model.generate('hello', { raw: true, maxTokens: 1 })),
      }
      await model.dispose()
    }
    return found
  }, folders)
  const unusable = Object.keys(rendered).filter((name) => rendered[name]?.raw.code !== undefined)
  expect(unusable).toEqual([])
  return Object.fromEntries(Object.entries(rendered).map(([name, { render }]) => [name, render]))
}

const again = (start: string, step: string): string => `${start}${step.repeat(50)}`

test('row 24: a chat template that takes too much time or memory is stopped', async () => {
  expectCodes(
    await applyInChild({
      loop: '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
      'huge range': '{{ range(10 ** 12) }}',
      'macro that calls itself': '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}',
      'loop that calls itself': '{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}',
      'string, doubled': again("{% set x = 'aaaa' %}", '{% set x = x ~ x %}'),
      'string, added to itself': again("{% set x = 'aaaa' %}", '{% set x = x + x %}'),
      'string, captured twice': again(
        "{% set x = 'aaaa' %}",
        '{% set x %}{{ x }}{{ x }}{% endset %}',
      ),
      'string, multiplied': "{{ 'a' * 10 ** 9 }}",
      'string, joined': "{% set x = 'a' * 100000 %}{{ x.join(x) }}",
      'list, doubled': again('{% set x = [1] %}', '{% set x = x + x %}'),
      'list, multiplied': '{% set n = 10 ** 9 %}{{ [1] * n }}',
      'indent filter': "{{ 'a\n'|indent(10 ** 9) }}",
      'indent of tojson': '{{ [1]|tojson(indent=10 ** 9) }}',
      'format filter': "{{ '%1000000000d'|format(1) }}",
      'format operator': "{{ '%1000000000d' % 1 }}",
      'format method': "{{ '{:1000000000}'.format(1) }}",
      'center method': "{{ 'a'.center(10 ** 9) }}",
      'replace filter': "{% set x = 'a' * 100000 %}{{ x|replace('a', x) }}",
      'replace method': "{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}",
      slices:
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% set y = x[1:] %}{% endfor %}",
      'nested lists':
        '{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}',
    }),
    'ERR_CHAT_TEMPLATE_LIMIT',
  )
})

test('row 25: a chat template with deep expressions or blocks is rejected without a crash', async () => {
  const chains = {
    minus: ['-', ''],
    not: ['not ', ''],
    parentheses: ['(', ')'],
    lists: ['[', ']'],
    filters: ['', '|trim'],
    concatenations: ['', '~a'],
    sums: ['', '+a'],
    comparisons: ['', '<a'],
    attributes: ['', '.a'],
    indices: ['', '[0]'],
    conditions: ['', ' if a else a'],
  } as const
  const templates: Record<string, string> = {}
  for (const length of [2500, 8192, 100_000]) {
    for (const [name, [before, after]] of Object.entries(chains)) {
      const expression = `${before.repeat(length)}a${after.repeat(length)}`
      templates[`${length} ${name}`] = `{{ ${expression} }}`
    }
    templates[`${length} blocks`] = '{% if a %}'.repeat(length)
    templates[`${length} branches`] = `{% if a %}${'{% elif a %}'.repeat(length)}{% endif %}`
  }
  expectCodes(await applyInChild(templates), 'ERR_CHAT_TEMPLATE_LIMIT')
})

test('row 26: a chat template knows nothing of the process', async () => {
  const names =
    'env environ getenv process os sys self config request lipsum joiner open fetch url_for get_env'
  const shown = names.split(' ').map((name) => `{{ ${name} is defined }}`)
  const outcomes = await applyInChild({ names: shown.join(' ') })
  expect(new Set(String(outcomes['names']?.value).split(' '))).toEqual(new Set(['False']))
})

test('row 26: a chat template can neither read files nor access object internals', async () => {
  const secret = join(scratch(), 'secret')
  writeFileSync(secret, 'the secret')
  // Whoever opens it waits for good.
  const fifo = join(scratch(), 'fifo')
  makeFifo(fifo)
  const outcomes = await applyInChild({
    include: `{% include '${secret}' %}`,
    'include that may fail': `{% include ['none', '${secret}'] ignore missing %}`,
    'include of its own folder': "{% include 'tokenizer.json' %}",
    'include of a FIFO': `{% include '${fifo}' %}`,
    import: `{% import '${secret}' as x %}{{ x }}`,
    'import from': `{% from '${secret}' import x %}`,
    'import of a FIFO': `{% import '${fifo}' as x %}`,
    extends: `{% extends '${secret}' %}`,
    class: "{{ ''.__class__ }}",
    'class of a list': '{{ messages.__class__.__mro__[1].__subclasses__() }}',
    'class by index': "{{ ''['__class__'] }}",
    'class by filter': "{{ ''|attr('__class__') }}",
    'globals of a function': '{{ range.__globals__ }}',
    'globals of a macro': '{% macro m() %}{% endmacro %}{{ m.__globals__ }}',
    init: '{{ self.__init__.__globals__ }}',
    'method that is called': "{{ ''.__class__() }}",
  })
  expectCodes(outcomes, 'ERR_CHAT_TEMPLATE')
  expect(JSON.stringify(outcomes)).not.toContain('the secret')
})
