// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The site that `npm run docs` builds.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const REPOSITORY = 'https://github.com/node-mlx/node-mlx'
const docs = join(import.meta.dirname, '..')
const root = join(docs, '..')

const GUIDES = [
  'getting-started',
  'models',
  'choosing-a-model',
  'http',
  'structured-output',
  'tools',
  'embeddings',
  'ai-sdk',
  'server',
  'electron',
  'bundlers',
  'platforms',
  'performance',
  'troubleshooting',
  'node-llama-cpp',
  'mlx-lm',
]

export default {
  title: 'node-mlx',
  description: 'Run large language models in Node.js, in-process, on MLX.',
  outDir: '../target/docs',
  cacheDir: '../target/docs-cache',
  rewrites: { 'decisions/README.md': 'decisions/index.md' },
  markdown: {
    anchor: { slugify },
    config: (markdown) => markdown.core.ruler.push('links', leaveTheSite),
  },
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    nav: [
      { text: 'Guide', link: '/guide/getting-started' },
      { text: 'Reference', link: '/reference/' },
      { text: 'Errors', link: '/errors' },
    ],
    sidebar: [
      { text: 'Guide', items: GUIDES.map((name) => `guide/${name}.md`).flatMap(item) },
      {
        text: 'Reference',
        items: [
          { text: 'All functions and types', link: '/reference/' },
          ...['errors.md', 'limits.md', 'benchmarks.md', 'parity.md'].flatMap(item),
        ],
      },
      {
        text: 'For contributors',
        items: [
          ...item('adding-a-model.md'),
          { text: 'Decisions', link: '/decisions/', collapsed: true, items: decisions() },
        ],
      },
    ],
  },
}

/** An entry of the sidebar, titled as the page is; none if there is no such page. */
function item(page) {
  const path = join(docs, page)
  if (!existsSync(path)) return []
  const [, title] = /^# (.+)$/mu.exec(readFileSync(path, 'utf8')) ?? []
  return [{ text: title ?? page, link: `/${page.replace(/\.md$/u, '')}` }]
}

function decisions() {
  const pages = readdirSync(join(docs, 'decisions')).filter((name) => name !== 'README.md')
  return pages.flatMap((name) => item(`decisions/${name}`))
}

/** The anchor that GitHub gives to a heading. */
function slugify(title) {
  const words = title.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
  return words.trim().replaceAll(/\s/gu, '-')
}

/** A link to a file outside docs leads to the repository; one to a file that does not exist fails the build. */
function leaveTheSite({ tokens, env }) {
  const links = tokens
    .flatMap(({ children }) => children ?? [])
    .filter(({ type }) => type === 'link_open')
  for (const link of links) {
    const [, path = '', fragment] = /^([^#]*)(.*)$/u.exec(link.attrGet('href') ?? '') ?? []
    if (path === '' || path.startsWith('/') || /^[a-z]+:/iu.test(path)) continue
    const target = join(dirname(env.realPath ?? env.path), path)
    const name = relative(root, target)
    if (!existsSync(target)) throw new Error(`${env.path}: there is no ${name}`)
    if (relative(docs, target).startsWith('..')) {
      const kind = statSync(target).isDirectory() ? 'tree' : 'blob'
      link.attrSet('href', `${REPOSITORY}/${kind}/main/${name}${fragment}`)
    } else link.attrSet('href', link.attrGet('href').replace('README.md', 'index.md'))
  }
}
