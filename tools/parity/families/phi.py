# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Phi family."""

from matrix import Architecture

COMMON = {"num_hidden_layers": 2, "vocab_size": 72, "max_position_embeddings": 512, "bos_token_id": None}


def _long(pairs):
    """LongRoPE's factors, which grow over the pairs of features; mlx-lm looks at the long ones only."""
    factors = {"short_factor": 0.4, "long_factor": 0.4}
    return {"type": "longrope"} | {key: [1 + step * pair for pair in range(pairs)] for key, step in factors.items()}


PHI = COMMON | {
    "model_type": "phi",
    "hidden_size": 32,
    "vocab_size": 128,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    # 12 of 16, rounded down
    "partial_rotary_factor": 0.8,
    "layer_norm_eps": 0.02,
    "rope_theta": 10.0,
}
PHI3 = COMMON | {
    "model_type": "phi3",
    "hidden_size": 32,
    "intermediate_size": 96,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "partial_rotary_factor": 0.75,
    "rms_norm_eps": 0.01,
    "original_max_position_embeddings": 16,
    "rope_theta": 1000.0,
    # mlx-lm leaves the scale of phimoe alone here
    "rope_scaling": _long(6) | {"long_mscale": 1.25},
    "tie_word_embeddings": True,
}
PHIMOE = COMMON | {
    "model_type": "phimoe",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "rms_norm_eps": 0.02,
    "router_jitter_noise": 0.3,
    "original_max_position_embeddings": 16,
    "rope_theta": 1000.0,
    "rope_scaling": _long(8) | {"short_mscale": 1.25, "long_mscale": 1.25},
}


def _apart(config, arrays):
    """Every expert's matrices by themselves, under the names that they have on the Hub."""
    out, names = {}, {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    for key, value in arrays.items():
        block, _, rest = key.partition(".switch_mlp.")
        if not rest:
            out[key] = value
            continue
        layer, part = rest.split(".")
        for expert in range(value.shape[0]):
            out[f"{block}.experts.{expert}.{names[layer]}.{part}"] = value[expert]
    return config, out


ARCHITECTURES = [
    Architecture(
        "phi",
        PHI,
        caches=("rotating",),
        why_not="mlx-lm's phi reads the dtype of the values, which a quantized cache has not",
    ),
    Architecture("phi3", PHI3, caches=("rotating",), why_not="heads of 16 features are shorter than a group of 32"),
    # rotated in full, as many kv heads as heads, an output layer of its own
    Architecture(
        "phi3-linear",
        PHI3
        | {
            "num_attention_heads": 1,
            "num_key_value_heads": None,
            "partial_rotary_factor": 1.0,
            "rope_traditional": True,
            # mlx-lm asks for factors here too
            "rope_scaling": {"type": "linear", "factor": 2.5, "long_factor": 1.0},
            "tie_word_embeddings": False,
        },
        committed=False,
    ),
    Architecture(
        "phimoe",
        PHIMOE,
        caches=("rotating",),
        why_not="heads of 16 features are shorter than a group of 32",
        raw=_apart,
    ),
    # Phi-mini-MoE: no scaling
    Architecture(
        "phimoe-plain",
        PHIMOE | {"num_attention_heads": 1, "num_experts_per_tok": 3, "rope_scaling": None},
        committed=False,
    ),
]
