// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Finds what answers a question, first by embeddings, then with a reranker, which is more exact and slower:
// `node examples/search.mts "question" [embedder [reranker]]`, with Node.js 22.18 or later.

import { loadEmbedder, loadReranker } from 'node-mlx'

const [, , question = 'Why does bread rise?', embedderId, rerankerId] = process.argv
const passages = [
  'The capital of France is Paris.',
  'Bread rises because yeast makes gas.',
  'Tea is a drink made from the leaves of a plant.',
  'Yeast is a fungus of a single cell.',
]
const BEST = 2

const embedder = await loadEmbedder(embedderId ?? 'Qwen/Qwen3-Embedding-0.6B')
const index = await embedder.embed(passages)
const [query = new Float32Array()] = await embedder.embed([question], { prompt: 'query' })
await embedder.dispose()

/** The cosine of the angle between embeddings, which have length 1. */
function similarity(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, number, place) => sum + number * (b[place] ?? 0), 0)
}

const found = index
  .map((embedding, place) => ({ text: passages[place] ?? '', score: similarity(query, embedding) }))
  .toSorted((a, b) => b.score - a.score)
for (const { text, score } of found) console.log(score.toFixed(3), text)

const reranker = await loadReranker(rerankerId ?? 'Qwen/Qwen3-Reranker-0.6B')
const best = found.slice(0, BEST).map(({ text }) => text)
console.log(`\nThe best ${BEST}, read again:`)
for (const { index: place, score } of await reranker.rank(question, best))
  console.log(score.toFixed(3), best[place])
await reranker.dispose()
