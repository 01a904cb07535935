# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Gemma family."""

from matrix import Architecture

GEMMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "head_dim": 32,
    "vocab_size": 128,
    "rms_norm_eps": 0.002,
}
OWN_CACHES = "its own caches ignore max_kv_size; RotatingKVCache cannot be quantized"
GEMMA3_TEXT = GEMMA | {
    "model_type": "gemma3_text",
    "architectures": ["Gemma3ForCausalLM"],
    "vocab_size": 96,
    "num_hidden_layers": 5,
    "head_dim": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "query_pre_attn_scalar": 3,
    "rope_theta": 100000.0,
    "rope_local_base_freq": 1000.0,
    "rope_scaling": {"rope_type": "linear", "factor": 4.0},
    "sliding_window": 8,
    "sliding_window_pattern": 3,
}


def tied(config, arrays):
    """Checkpoints on the Hub have no lm_head: the embedding takes its place."""
    return config, {name: array for name, array in arrays.items() if "lm_head" not in name}


def wrapped(config, arrays):
    """The same, and without what mlx-lm wrote into text_config; the vocabulary's size there does not count."""
    text = {key: value for key, value in config["text_config"].items() if "heads" not in key}
    return tied(config | {"text_config": text | {"vocab_size": 160}}, arrays)


ARCHITECTURES = [
    Architecture(
        "gemma",
        GEMMA
        | {
            "model_type": "gemma",
            "architectures": ["GemmaForCausalLM"],
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 512,
        },
        norm_mean=0.0,
        embedding=0.05,
    ),
    Architecture(
        "gemma2",
        GEMMA
        | {
            "model_type": "gemma2",
            "architectures": ["Gemma2ForCausalLM"],
            "num_hidden_layers": 3,
            "head_dim": 16,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "rope_theta": 30000.0,
            "rope_traditional": True,
            # far below what Gemma has, so that they bend what these small models compute
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 2.0,
            "query_pre_attn_scalar": 3,
        },
        caches=(),
        why_not="its attention needs arrays, and its windows, which mlx-lm lacks, caches of their own",
        norm_mean=0.0,
        embedding=0.05,
    ),
    Architecture(
        "gemma3_text",
        GEMMA3_TEXT,
        modes=("4bit", "mxfp4", "mxfp8", "nvfp4"),
        caches=("plain",),
        why_not=OWN_CACHES,
        raw=tied,
        norm_mean=0.0,
        embedding=0.05,
    ),
    # as many heads as the text model of a wrapper has by default; the vocabulary's size is the wrapper's
    Architecture(
        "gemma3",
        {
            "model_type": "gemma3",
            "architectures": ["Gemma3ForConditionalGeneration"],
            "vocab_size": 96,
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 32,
                "intermediate_size": 64,
                "head_dim": 16,
                "num_hidden_layers": 3,
                "query_pre_attn_scalar": 3,
                "rms_norm_eps": 0.002,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "sliding_window": 8,
                "sliding_window_pattern": 2,
            },
            "vision_config": {"hidden_size": 8, "num_hidden_layers": 1},
        },
        caches=("plain",),
        why_not=OWN_CACHES,
        raw=wrapped,
        norm_mean=0.0,
        embedding=0.05,
        dropped={
            "vision_tower.vision_model.embeddings.patch_embedding.bias": (8,),
            "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": (16, 8),
            "multi_modal_projector.mm_input_projection_weight": (8, 32),
            "multi_modal_projector.mm_soft_emb_norm.weight": (8,),
        },
    ),
]
