// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { prepare } from './prepare.mjs'
import { script } from './shared.mjs'

await script(() => prepare({ force: true }))
