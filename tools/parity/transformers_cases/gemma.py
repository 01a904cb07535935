# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Gemma family's text models."""

from dataclasses import replace

from .case import FULL, SLIDING, TEXT, VOCAB, Case, rope, theta_off, window_off

# They multiply the embedding and use it again for the logits: small, or a token would foretell itself.
SIZES = {"embedding": 0.1, "last_norm": 2.5}
TIED = TEXT | {"tie_word_embeddings": True, "num_attention_heads": 2, "num_key_value_heads": 1}
CAPS = {"attn_logit_softcapping": 1.5, "final_logit_softcapping": 6.0}
LOGITS_CAP = {"cap of the logits": {"final_logit_softcapping": None}}
CAPS_OFF = LOGITS_CAP | {"cap of the attention": {"attn_logit_softcapping": None}}
# not head_dim
SCALE = {"query_pre_attn_scalar": 24}
SCALE_OFF = {"scale of queries": {"query_pre_attn_scalar": 16}}

FIRST = [
    Case("gemma", "gemma", TEXT | {"tie_word_embeddings": True} | rope(), theta_off()),
    Case("gemma-untied", "gemma", TEXT, {"head": "lm_head"}),
]
GEMMA2 = TIED | {"num_hidden_layers": 4} | SCALE
LACKS = ("layer_types",)
SECOND = [
    # wide enough for the whole text
    Case("gemma2", "gemma2", GEMMA2 | CAPS | {"sliding_window": 64}, CAPS_OFF | SCALE_OFF, older_lacks=LACKS),
    Case(
        "gemma2-window",
        "gemma2",
        GEMMA2 | CAPS | {"sliding_window": 8} | rope(),
        window_off() | theta_off(),
        older_lacks=LACKS,
    ),
    Case(
        "gemma2-layer-types",
        "gemma2",
        GEMMA2 | {"sliding_window": 8, "layer_types": [FULL, FULL, SLIDING, FULL]},
        {"which layers slide": {"layer_types": [SLIDING, FULL, FULL, FULL]}},
    ),
]


def by_layer(local, **full):
    """RoPE of its own for each type of layer."""
    return {
        "rope_parameters": {
            SLIDING: {"rope_type": "default", "rope_theta": local},
            FULL: {"rope_type": "default", "rope_theta": 2000.0} | full,
        }
    }


def by_layer_off(prefix=""):
    at = f"{prefix}rope_parameters"
    return {"local theta": {f"{at}.{SLIDING}.rope_theta": 10000.0}, "theta": {f"{at}.{FULL}.rope_theta": 1000000.0}}


LINEAR = {"rope_type": "linear", "factor": 4.0}
LINEAR_OFF = {"scaling": {f"rope_parameters.{FULL}": {"rope_type": "default", "rope_theta": 2000.0}}}
GEMMA3 = TIED | SCALE | {"num_hidden_layers": 6, "intermediate_size": 24, "sliding_window": 8} | by_layer(300.0)
THIRD = [
    Case(
        "gemma3_text",
        "gemma3_text",
        GEMMA3,
        window_off() | by_layer_off() | SCALE_OFF | {"norms": r"[qk]_norm"},
        older_extra={"sliding_window_pattern": 6},
        older_lacks=LACKS,
    ),
    Case("gemma3_text-linear", "gemma3_text", GEMMA3 | by_layer(300.0, **LINEAR), LINEAR_OFF),
    Case("gemma3_text-defaults", "gemma3_text", TIED | SCALE | {"num_hidden_layers": 6, "intermediate_size": 24}),
    Case(
        "gemma3_text-layer-types",
        "gemma3_text",
        GEMMA3 | CAPS | {"num_hidden_layers": 3, "layer_types": [FULL, SLIDING, SLIDING]},
        LOGITS_CAP | {"which layers slide": {"layer_types": [SLIDING, SLIDING, FULL]}},
    ),
]

GEMMA3N = (
    TIED
    | by_layer(300.0)
    | {
        "num_hidden_layers": 4,
        "intermediate_size": [24, 40, 32, 24],
        "num_kv_shared_layers": 2,
        # some ids have no embedding of their own in the layers
        "vocab_size_per_layer_input": VOCAB - 32,
        "hidden_size_per_layer_input": 8,
        "sliding_window": 8,
        "final_logit_softcapping": 5.0,
        "layer_types": [SLIDING, FULL, SLIDING, FULL],
        "activation_sparsity_pattern": [0.9, 0.7, 0.0, 0.0],
        "altup_num_inputs": 3,
        "altup_active_idx": 1,
        "altup_correct_scale": True,
        "laurel_rank": 8,
    }
)
GEMMA3N_OFF = (
    window_off()
    | by_layer_off()
    | {
        "shared keys": {"num_kv_shared_layers": 0},
        "sparsity": {"activation_sparsity_pattern": [0.0] * 4},
        "AltUp's scale": {"altup_correct_scale": False},
        "cap of the logits": {"final_logit_softcapping": 30.0},
    }
)

GLOBAL = {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 2000.0}
GEMMA4 = (
    TIED
    | by_layer(300.0, **GLOBAL)
    | {
        "global_head_dim": 32,
        "sliding_window": 8,
        "final_logit_softcapping": 5.0,
        "vocab_size_per_layer_input": VOCAB,
        "hidden_size_per_layer_input": 0,
        "intermediate_size": 24,
    }
)
SMALL = GEMMA4 | {
    "num_hidden_layers": 4,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 2,
    "use_double_wide_mlp": True,
    "layer_types": [SLIDING, FULL, SLIDING, FULL],
}
SHARED = SMALL | {"use_double_wide_mlp": False}
LARGE = GEMMA4 | {
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "num_global_key_value_heads": 1,
    "attention_k_eq_v": True,
    "layer_types": [SLIDING, SLIDING, FULL],
}
MOE = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 8}
PROPORTION = {"proportion": {f"rope_parameters.{FULL}.partial_rotary_factor": 1.0}}
GEMMA4_OFF = window_off() | PROPORTION | {"cap of the logits": {"final_logit_softcapping": 30.0}}
FACTOR = by_layer(300.0, **GLOBAL, factor=4.0)
# what is `per_layer_config` now
GLOBAL_HEADS = {"global_head_dim": 32}
GLOBAL_KEYS = GLOBAL_HEADS | {"num_global_key_value_heads": 1}


def _gemma4(name, config, features):
    extra = GLOBAL_KEYS if config.get("attention_k_eq_v") else GLOBAL_HEADS
    return Case(name, "gemma4_text", config, features, older_extra=extra, older_lacks=("per_layer_config",))


FOURTH = [
    _gemma4("gemma4_text", SMALL, GEMMA4_OFF),
    _gemma4("gemma4_text-shared", SHARED, {"shared keys": {"num_kv_shared_layers": 0}}),
    _gemma4("gemma4_text-equal-values", LARGE, GEMMA4_OFF),
    _gemma4("gemma4_text-moe", LARGE | MOE, GEMMA4_OFF | {"experts": {"top_k_experts": 1}}),
    _gemma4("gemma4_text-factor", LARGE | FACTOR, {"factor": {f"rope_parameters.{FULL}.factor": 1.0}}),
]
MATFORMER = [
    Case("gemma3n_text", "gemma3n_text", GEMMA3N, GEMMA3N_OFF),
    # so low that it would clip, but that is for training
    Case("gemma3n_text-clip", "gemma3n_text", GEMMA3N | {"altup_coef_clip": 0.4}),
]
CASES = [replace(case, **SIZES) for case in (*FIRST, *SECOND, *THIRD, *MATFORMER, *FOURTH)]
