# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Llama family."""

from matrix import Architecture
from oracle import mx
from specs import LLAMA

# the dimensions that every family's models start from: small, no two alike where a transposition could hide
LAYERS = {"hidden_size": 32, "intermediate_size": 96, "head_dim": 32, "vocab_size": 64}

HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
LLAMA4_TEXT = {
    "model_type": "llama4_text",
    "architectures": ["Llama4ForCausalLM"],
    "num_hidden_layers": 2,
    "intermediate_size": 80,
    "intermediate_size_mlp": 64,
    "rms_norm_eps": 0.02,
    "rope_theta": 20000.0,
    # mlx-lm normalizes queries and keys in layers without RoPE, too
    "no_rope_layers": [1, 1],
    "use_qk_norm": True,
    "tie_word_embeddings": False,
    "max_position_embeddings": 512,
}
LLAMA4 = {
    "model_type": "llama4_text",
    "attention_bias": True,
    "attention_chunk_size": 10,
    "attn_scale": 0.4,
    "attn_temperature_tuning": 4,
    "floor_scale": 6,
    # layer 2 has experts, layer 3 sees everything
    "interleave_moe_layer_step": 3,
    "intermediate_size": 64,
    "intermediate_size_mlp": 32,
    "max_position_embeddings": 512,
    "num_experts_per_tok": 1,
    "num_hidden_layers": 5,
    "num_local_experts": 4,
    # mlx-lm has this number for queries and keys whatever the config says
    "rms_norm_eps": 1e-6,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "rope_theta": 20000.0,
    "use_qk_norm": True,
}
VISION = {
    "vision_model.class_embedding": (16,),
    "multi_modal_projector.linear_1.weight": (32, 16),
}


def multimodal(text):
    return {
        "model_type": "llama4",
        "architectures": ["Llama4ForConditionalGeneration"],
        "text_config": LAYERS | HEADS | {"vocab_size": 96} | text,
    }


def fused_experts(config, arrays):
    """Experts transposed, with gate and up side by side."""
    raw = dict(arrays)
    for key in arrays:
        path, found, _ = key.partition(".experts.gate_proj.weight")
        if found:
            gate, up, down = (
                raw.pop(f"{path}.experts.{name}_proj.weight").swapaxes(1, 2) for name in ("gate", "up", "down")
            )
            raw[f"{path}.experts.gate_up_proj"] = mx.concatenate([gate, up], axis=-1)
            raw[f"{path}.experts.down_proj"] = mx.contiguous(down)
    return config, raw


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
    Architecture(
        "smollm3",
        LLAMA
        | LAYERS
        | HEADS
        | {"model_type": "smollm3", "num_hidden_layers": 2, "no_rope_layer_interval": 2, "intermediate_size": 64},
        dropped={"model.layers.0.self_attn.rotary_emb.inv_freq": (16,)},
    ),
    Architecture(
        "smollm3-list",
        LLAMA
        | LAYERS
        | HEADS
        | {
            "model_type": "smollm3",
            "num_hidden_layers": 3,
            "no_rope_layers": [0, 1, 1],
            "attention_bias": True,
            "tie_word_embeddings": True,
        },
        caches=(),
        why_not="as smollm3",
        dropped={"lm_head.weight": (64, 32)},
        committed=False,
    ),
    Architecture("llama4_text", LAYERS | HEADS | LLAMA4_TEXT),
    # mlx-lm cannot tie to a quantized embedding
    Architecture(
        "llama4_text-tied",
        LAYERS
        | HEADS
        | LLAMA4_TEXT
        | {
            "num_hidden_layers": 3,
            "no_rope_layers": [0, 1, 1],
            "use_qk_norm": False,
            "tie_word_embeddings": True,
        },
        caches=(),
        why_not="as llama4_text",
        overrides={"model.embed_tokens": False},
        committed=False,
    ),
    Architecture(
        "llama4",
        multimodal(LLAMA4),
        caches=("kv8", "kv4"),
        why_not="its own caches ignore max_kv_size; a plain one has no chunks",
        raw=fused_experts,
        dropped=VISION,
    ),
    # experts everywhere, nothing else but the bare attention
    Architecture(
        "llama4-bare",
        multimodal(
            LLAMA4
            | {
                "attention_bias": False,
                "attn_temperature_tuning": False,
                "interleave_moe_layer_step": 1,
                "intermediate_size": 32,
                "num_hidden_layers": 4,
                "num_local_experts": 3,
                "rope_scaling": None,
                "use_qk_norm": False,
            }
        ),
        caches=(),
        why_not="as llama4",
        committed=False,
    ),
]
