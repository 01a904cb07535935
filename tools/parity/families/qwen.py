# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Qwen family."""

ARCHITECTURES = []
