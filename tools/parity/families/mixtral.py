# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mixtral."""

from matrix import Architecture

MIXTRAL = {
    "model_type": "mixtral",
    "architectures": ["MixtralForCausalLM"],
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 0.004,
    "rope_theta": 50000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}


def single_experts(config, arrays):
    """Every expert by itself, under the names of Mistral."""
    names = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    raw = {}
    for key, value in arrays.items():
        if ".switch_mlp." not in key:
            raw[key] = value
            continue
        path, _, rest = key.partition(".switch_mlp.")
        projection, part = rest.split(".")
        for index, expert in enumerate(value):
            raw[f"{path}.experts.{index}.{names[projection]}.{part}"] = expert
    return config, raw


ARCHITECTURES = [
    Architecture("mixtral", MIXTRAL, raw=single_experts),
    # as many kv heads as heads, a checkpoint that was quantized before its experts were stacked
    Architecture(
        "mixtral-tied",
        MIXTRAL
        | {
            "num_hidden_layers": 1,
            "num_key_value_heads": None,
            "rope_traditional": True,
            "tie_word_embeddings": True,
        },
        raw=single_experts,
        raw_mode="4bit",
        caches=(),
        why_not="as mixtral",
        dropped={"lm_head.weight": (64, 64)},
        committed=False,
    ),
]
