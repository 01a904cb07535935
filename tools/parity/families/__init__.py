# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The architectures, family by family."""

from . import gemma, gpt_oss, llama, mistral, phi, qwen

ARCHITECTURES = [
    *llama.ARCHITECTURES,
    *mistral.ARCHITECTURES,
    *qwen.ARCHITECTURES,
    *phi.ARCHITECTURES,
    *gemma.ARCHITECTURES,
    *gpt_oss.ARCHITECTURES,
]
