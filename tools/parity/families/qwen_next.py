# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Qwen3-Next and Qwen3.5: recurrent layers between those that attend."""

from matrix import Architecture
from oracle import mx

CACHES = {
    "caches": ("kv8", "kv4"),
    "why_not": "its own caches ignore max_kv_size",
}
NORMS = ("input_layernorm", "post_attention_layernorm", "model.norm", "q_norm", "k_norm")

# two key heads for four value heads, no two of the sizes alike
DELTA = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
LAYERS = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "rms_norm_eps": 0.005,
    "vocab_size": 64,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "shared_expert_intermediate_size": 32,
    "moe_intermediate_size": 32,
}
QWEN3_NEXT = (
    {"model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"]}
    | LAYERS
    | DELTA
    | EXPERTS
    | {
        "full_attention_interval": 2,
        "mlp_only_layers": [0, 2],
        "norm_topk_prob": True,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25,
    }
)
ROPE = {"mrope_interleaved": True, "mrope_section": [2, 1, 1], "rope_theta": 30000.0, "partial_rotary_factor": 0.5}
QWEN3_5 = LAYERS | DELTA | {"model_type": "qwen3_5_text", "rope_parameters": ROPE | {"rope_type": "default"}}


def _hub_tensors(arrays):
    """Convolutions of (channels, 1, positions), and norms that store what is added to 1."""
    for name, array in arrays.items():
        if name.endswith("conv1d.weight"):
            array = mx.moveaxis(array, 2, 1)
        elif any(name.endswith(f"{norm}.weight") for norm in NORMS):
            array = array - 1
        yield name, array


def _raw_next(config, arrays):
    raw = {"mtp.fc.weight": mx.zeros((32, 64)), "mtp.norm.weight": mx.zeros((32,))}
    for name, array in _hub_tensors(arrays):
        if "switch_mlp" in name:
            for expert in range(config["num_experts"]):
                raw[name.replace("switch_mlp", f"experts.{expert}")] = array[expert]
        else:
            raw[name] = array
    return config, raw


def _raw_5(config, arrays):
    raw = {}
    for name, array in _hub_tensors(arrays):
        name = name.replace("language_model.model", "model.language_model").replace("language_model.lm_", "lm_")
        if "switch_mlp.gate_proj" in name:
            up = arrays[f"language_model.model{name[len('model.language_model') :]}".replace("gate_proj", "up_proj")]
            name, array = name.replace("gate_proj", "gate_up_proj"), mx.concatenate([array, up], axis=-2)
        elif "switch_mlp.up_proj" in name:
            continue
        if "switch_mlp" in name:
            name = name.replace("switch_mlp", "experts").removesuffix(".weight")
        raw[name] = array
    return config, raw


ARCHITECTURES = [
    Architecture("qwen3_next", QWEN3_NEXT, modes=("4bit", "mxfp4"), raw=_raw_next, **CACHES),
    # experts in every second layer, and what is left out by default
    Architecture(
        "qwen3_next-sparse",
        QWEN3_NEXT
        | {
            "full_attention_interval": 4,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [],
            "norm_topk_prob": False,
            "attention_bias": True,
            "tie_word_embeddings": True,
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        **CACHES,
        committed=False,
    ),
    Architecture(
        "qwen3_next-mlp", QWEN3_NEXT | {"num_experts": 0, "linear_num_key_heads": 4}, **CACHES, committed=False
    ),
    Architecture(
        "qwen3_5",
        {"model_type": "qwen3_5", "text_config": QWEN3_5 | {"full_attention_interval": 2}},
        modes=("4bit", "mxfp4", "mxfp8", "nvfp4"),
        raw=_raw_5,
        dropped={"model.visual.merger.norm.weight": (16,), "mtp.norm.weight": (32,)},
        **CACHES,
    ),
    # without the wrapper, and by default four layers to one that attends
    Architecture(
        "qwen3_5-text",
        QWEN3_5 | {"model_type": "qwen3_5", "tie_word_embeddings": True, "attention_bias": True},
        **CACHES,
        committed=False,
    ),
    Architecture(
        "qwen3_5_moe",
        {
            "model_type": "qwen3_5_moe",
            "text_config": QWEN3_5 | EXPERTS | {"model_type": "qwen3_5_moe_text", "full_attention_interval": 2},
        },
        modes=("4bit", "nvfp4"),
        raw=_raw_5,
        dropped={"vision_tower.norm.weight": (16,), "mtp.norm.weight": (32,)},
        **CACHES,
    ),
]
