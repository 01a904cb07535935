// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

/** The method that `console.log` of Node, Bun and Deno calls. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')
