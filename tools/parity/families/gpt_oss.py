# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The GPT-OSS family."""

from matrix import MODES, Architecture
from oracle import mx

LAYERS = 2
GPT_OSS = {
    "model_type": "gpt_oss",
    "hidden_size": 32,
    "intermediate_size": 64,
    "head_dim": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "num_experts_per_tok": 3,
    "vocab_size": 72,
    "rms_norm_eps": 0.01,
    "sliding_window": 8,
    "layer_types": ["full_attention", "sliding_attention"],
    "max_position_embeddings": 512,
    "rope_theta": 150000.0,
    # two of the eight pairs lie on the ramp
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 4.0,
        "beta_fast": 4.0,
        "beta_slow": 1.0,
        "original_max_position_embeddings": 1024,
    },
    "bos_token_id": None,
}

EXPERTS = "mlp.experts"
DENSE = [
    "model.embed_tokens",
    "lm_head",
    *(
        f"model.layers.{layer}.{name}"
        for layer in range(LAYERS)
        for name in ("mlp.router", *(f"self_attn.{part}_proj" for part in "qkvo"))
    ),
]


def _blocks(config, arrays):
    """OpenAI's experts: blocks of 16 bytes, and rows of gate and up in turn."""
    out = {}
    for key, value in arrays.items():
        if f".{EXPERTS}." not in key or ".gate_proj." in key:
            continue
        at, _, part = key.rpartition(".")
        if at.endswith(".up_proj"):
            gate = arrays[f"{at.removesuffix('up_proj')}gate_proj.{part}"]
            rows = (value.shape[0], 2 * value.shape[1], *value.shape[2:])
            value, at = mx.stack([gate, value], axis=2).reshape(rows), at.replace("up_proj", "gate_up_proj")
        if part == "weight":
            part, value = "blocks", mx.contiguous(value).view(mx.uint8).reshape(*value.shape[:2], -1, 16)
        out[f"{at}_{part}"] = value
    out |= {key: value for key, value in arrays.items() if f".{EXPERTS}." not in key}
    config = {key: value for key, value in config.items() if key != "quantization"}
    names = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    return config | {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": names}}, out


WHY_NOT = "its own caches ignore max_kv_size; mlx-lm quantizes neither rotating caches nor attention with sinks"

ARCHITECTURES = [
    # as its checkpoints are: only the experts are quantized
    Architecture(
        "gpt_oss",
        GPT_OSS,
        modes=("mxfp4",),
        overrides=dict.fromkeys(DENSE, False),
        caches=("plain",),
        why_not=WHY_NOT,
        raw=_blocks,
        raw_mode="mxfp4",
    ),
    # the order of layers that it has by itself, and experts of one layer in mxfp4 among 4-bit ones and 8-bit routers
    Architecture(
        "gpt_oss-alternating",
        # without a scaling, mlx-lm rotates plainly, the makers as they do by default
        {key: value for key, value in GPT_OSS.items() if key != "layer_types"}
        | {"rope_scaling": {"rope_type": "default"}},
        overrides={f"model.layers.0.{EXPERTS}.{part}_proj": MODES["mxfp4"] for part in ("gate", "up", "down")},
        caches=("plain",),
        why_not=WHY_NOT,
        committed=False,
    ),
]
