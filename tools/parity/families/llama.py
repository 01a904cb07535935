# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Llama family."""

from matrix import Architecture
from specs import LLAMA

# the dimensions that every family's models start from: small, no two alike where a transposition could hide
LAYERS = {"hidden_size": 32, "intermediate_size": 96, "head_dim": 32, "vocab_size": 64}

ARCHITECTURES = [
    Architecture(
        "llama-sliding",
        LLAMA
        | LAYERS
        | {
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "sliding_window": 8,
        },
        caches=("plain",),
        why_not="its own caches ignore max_kv_size; RotatingKVCache cannot be quantized",
    ),
    Architecture(
        "llama-gqa",
        LLAMA | LAYERS | {"num_attention_heads": 4, "num_key_value_heads": 2},
        modes=("4bit", "8bit", "mxfp4", "mxfp8", "nvfp4"),
        caches=("kv8", "kv4"),
        why_not="its own caches ignore max_kv_size",
    ),
]
