# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The architectures, family by family."""

from . import gemma, gemma_n, gpt_oss, llama, mistral, mixtral, phi, qwen, qwen_next

ARCHITECTURES = [
    *llama.ARCHITECTURES,
    *mistral.ARCHITECTURES,
    *mixtral.ARCHITECTURES,
    *qwen.ARCHITECTURES,
    *qwen_next.ARCHITECTURES,
    *phi.ARCHITECTURES,
    *gemma.ARCHITECTURES,
    *gemma_n.ARCHITECTURES,
    *gpt_oss.ARCHITECTURES,
]
