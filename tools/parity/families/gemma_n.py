# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Gemma models of which layers share keys and values: Gemma 3n and Gemma 4."""

from matrix import Architecture
from oracle import mx

WHY_NOT = "its own caches ignore max_kv_size; RotatingKVCache cannot be quantized"

GEMMA3N = {
    "model_type": "gemma3n",
    "architectures": ["Gemma3nForConditionalGeneration"],
    "text_config": {
        "model_type": "gemma3n_text",
        "hidden_size": 32,
        "num_hidden_layers": 5,
        "intermediate_size": [32, 32, 64, 32, 32],
        "num_attention_heads": 2,
        "head_dim": 16,
        "rms_norm_eps": 0.002,
        "vocab_size": 96,
        "num_key_value_heads": 1,
        "num_kv_shared_layers": 2,
        # some of the prompt's ids have no per-layer embedding
        "vocab_size_per_layer_input": 48,
        "sliding_window": 8,
        "max_position_embeddings": 512,
        "rope_local_base_freq": 10000.0,
        "rope_theta": 1000000.0,
        "final_logit_softcapping": 1.0,
        "layer_types": ["sliding_attention", *["sliding_attention", "full_attention"] * 2],
        "activation_sparsity_pattern": [0.9, 0.7, 0.0, 0.8, 0.0],
        "hidden_size_per_layer_input": 32,
        "altup_num_inputs": 3,
        # so high that mlx-lm does not clip: that is for training
        "altup_coef_clip": 100.0,
        "altup_correct_scale": True,
        "altup_active_idx": 1,
        "laurel_rank": 16,
    },
}

ROPE = {
    "full_attention": {"partial_rotary_factor": 0.5, "rope_theta": 100000.0, "rope_type": "proportional"},
    "sliding_attention": {"rope_theta": 1000.0, "rope_type": "default"},
}
GEMMA4 = {
    "model_type": "gemma4_text",
    "architectures": ["Gemma4ForCausalLM"],
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "head_dim": 16,
    "global_head_dim": 32,
    "rms_norm_eps": 0.002,
    "vocab_size": 96,
    "num_key_value_heads": 1,
    "sliding_window": 8,
    "max_position_embeddings": 512,
    "final_logit_softcapping": 1.0,
}
SMALL = GEMMA4 | {
    "rope_parameters": ROPE,
    "num_hidden_layers": 5,
    "vocab_size": 64,
    "vocab_size_per_layer_input": 64,
    "num_kv_shared_layers": 2,
    "hidden_size_per_layer_input": 32,
    "use_double_wide_mlp": True,
    "layer_types": ["sliding_attention", *["sliding_attention", "full_attention"] * 2],
}
LARGE = GEMMA4 | {
    "num_hidden_layers": 3,
    "intermediate_size": 64,
    "num_key_value_heads": 2,
    "num_global_key_value_heads": 1,
    "num_kv_shared_layers": 0,
    "hidden_size_per_layer_input": 0,
    "attention_k_eq_v": True,
    "enable_moe_block": True,
    "num_experts": 4,
    "top_k_experts": 3,
    "moe_intermediate_size": 32,
    # by the pattern: the third layer sees everything
    "sliding_window_pattern": 3,
}


def _hub(config, arrays):
    """The Hub's names, with the wrapper outside, and its fused experts."""
    raw = {}
    for key, value in arrays.items():
        name = key.replace("language_model.model.", "model.language_model.").replace("switch_glu.", "")
        if ".experts." not in name:
            raw[name] = value
        elif "gate_proj" in name:
            up = arrays[key.replace("gate_proj", "up_proj")]
            raw[name.replace("gate_proj.weight", "gate_up_proj")] = mx.concatenate([value, up], axis=-2)
        elif "down_proj" in name:
            raw[name.removesuffix(".weight")] = value
    return config, raw


ARCHITECTURES = [
    Architecture(
        "gemma3n",
        GEMMA3N,
        embedding=0.05,
        caches=("plain",),
        why_not=WHY_NOT,
        dropped={
            "model.vision_tower.timm_model.conv_stem.conv.weight": (4, 3, 3, 3),
            "model.audio_tower.subsample_conv_projection.conv_0.conv.weight": (4, 1, 3, 3),
            "model.embed_audio.embedding.weight": (4, 8),
            "model.embed_vision.soft_embedding_norm.weight": (8,),
        },
    ),
    Architecture(
        "gemma4_text",
        SMALL,
        modes=("4bit", "mxfp4", "mxfp8", "nvfp4"),
        embedding=0.05,
        caches=(),
        why_not=WHY_NOT + "; with plain caches mlx-lm's shared layers append to theirs",
        dropped={
            "model.layers.3.self_attn.k_proj.weight": (16, 32),
            "model.layers.4.self_attn.v_proj.weight": (32, 32),
            "model.layers.4.self_attn.k_norm.weight": (32,),
            "model.layers.0.self_attn.rotary_emb.inv_freq": (8,),
            "model.layers.0.self_attn.q_proj.input_max": (1,),
        },
    ),
    Architecture("gemma4_text-moe", LARGE, modes=("4bit", "nvfp4"), embedding=0.05, caches=("plain",), why_not=WHY_NOT),
    Architecture(
        "gemma4",
        {
            "model_type": "gemma4",
            "architectures": ["Gemma4ForConditionalGeneration"],
            "vocab_size": 96,
            "text_config": LARGE,
        },
        embedding=0.05,
        caches=("plain",),
        why_not=WHY_NOT,
        raw=_hub,
        dropped={
            "model.vision_tower.patch_embedder.input_proj.weight": (4, 12),
            "model.embed_vision.embedding_projection.weight": (4, 8),
            "audio_tower.output_proj.weight": (4, 8),
            "model.language_model.layers.0.mlp.gate_proj.input_max": (1,),
            "model.language_model.layers.1.mlp.down_proj.output_min": (1,),
        },
    ),
]
