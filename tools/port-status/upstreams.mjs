// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The projects that files are ported from.

/**
 * `root`: the folder of the sources in the repository; `package`: the same folder in a wheel or site-packages.
 * `models`: the folder with one file for each model, of which `essential` are those that we want to have.
 */
export const UPSTREAMS = [
  {
    name: 'mlx-lm',
    url: 'https://github.com/ml-explore/mlx-lm',
    root: 'mlx_lm',
    package: 'mlx_lm',
    versionFile: 'mlx_lm/_version.py',
    models: 'mlx_lm/models',
    essential: /^(?:llama|mistral|ministral|mixtral|pixtral|qwen|gemma|phi|gpt_oss)/u,
  },
  {
    name: 'transformers',
    url: 'https://github.com/huggingface/transformers',
    root: 'src/transformers',
    package: 'transformers',
    versionFile: 'src/transformers/__init__.py',
    models: null,
    essential: null,
  },
]

export function upstreamOf(original) {
  return UPSTREAMS.find(({ root }) => original.startsWith(`${root}/`))
}

export function isEssential({ essential }, path) {
  return essential?.test(path.split('/').at(-1)) ?? false
}

/** A commit's hash is long, a tag's name is not. */
export function shortRevision(revision) {
  return /^[0-9a-f]{40}$/u.test(revision) ? revision.slice(0, 8) : revision
}
