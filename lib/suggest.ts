// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Finds the name that was meant.

/** Names of other APIs, in camelCase. */
const ALIASES: Readonly<Record<string, string>> = {
  abortSignal: 'signal',
  args: 'arguments',
  enableThinking: 'reasoning',
  inputSchema: 'parameters',
  maxCompletionTokens: 'maxTokens',
  maxNewTokens: 'maxTokens',
  maxOutputTokens: 'maxTokens',
  numPredict: 'maxTokens',
  params: 'parameters',
  reasoningContent: 'reasoning',
  repeatPenalty: 'repetitionPenalty',
  responseFormat: 'schema',
  stopSequences: 'stop',
  stopStrings: 'stop',
  temp: 'temperature',
  think: 'reasoning',
  thinking: 'reasoning',
}

/** Names that differ in more than a third of their letters have nothing to do with each other. */
const LETTERS_PER_MISTAKE = 3

/** Asks whether one of the known names was meant: the end of a sentence, or nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const camel = name.replaceAll(/_+(\w)/gu, (_, letter: string) => letter.toUpperCase())
  const alias = Object.hasOwn(ALIASES, camel) ? ALIASES[camel] : camel
  const meant = known.find((each) => each === alias) ?? nearest(name, known)
  return meant === undefined ? '' : `; did you mean ${meant}?`
}

/** The known name that is most like this one, if any is. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const limit = Math.floor(name.length / LETTERS_PER_MISTAKE)
  // What is longer than every known name needs no comparison, which takes quadratic time.
  const rated = known
    .filter((each) => Math.abs(each.length - name.length) <= limit)
    .map((each) => [distance(name.toLowerCase(), each.toLowerCase()), each] as const)
  const [best] = rated.toSorted(([a], [b]) => a - b)
  return best !== undefined && best[0] <= limit ? best[1] : undefined
}

/** Levenshtein's distance: the number of letters to insert, remove or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1]
    for (const [at, other] of [...b].entries()) {
      const replaced = (row[at] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
