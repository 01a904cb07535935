# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Phi family."""

ARCHITECTURES = []
