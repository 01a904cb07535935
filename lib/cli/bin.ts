#!/usr/bin/env node
// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

import { main } from './main'

void main(process.argv.slice(2))
