// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}
