// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { loadModel, version } from 'node-mlx'

export const load: (folder: string) => Promise<{ readonly contextLength: number }> = loadModel
export const text: string = version
