// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import 'node-mlx/electron/preload'
