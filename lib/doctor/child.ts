// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The program of the processes that check: child.js, or child.js DEVICE FOLDER.

import type { Device } from './checks'
import { run } from './run'

const [device, folder] = process.argv.slice(2)

void run(device as Device | undefined, folder)
