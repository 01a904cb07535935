# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The cases of the second oracle: every family that is ported, each kind of RoPE, and whatever else changes numbers."""

from . import gemma, llama, mistral, phi, qwen, wrapped

ALL = [*llama.CASES, *mistral.CASES, *qwen.CASES, *phi.CASES, *gemma.CASES, *wrapped.CASES]
