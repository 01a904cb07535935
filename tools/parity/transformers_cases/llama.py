# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Llama, and on it each kind of RoPE that has no family of its own; SmolLM3, and Llama 4's text model."""

from .case import FULL, SLIDING, TEXT, Case, plain, rope, theta_off, tie_off, window_off

HALF = TEXT["head_dim"] // 2
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0, "beta_slow": 1.0}
LONG = {
    "short_factor": [1 + 0.1 * index for index in range(HALF)],
    "long_factor": [1.5 + 0.5 * index for index in range(HALF)],
}


def _llama(name, features, **config):
    return Case(f"llama-{name}", "llama", TEXT | config, features)


def _yarn(name, features, **more):
    return _llama(f"yarn{name}", features, **rope("yarn", **YARN | more))


ROPE = [
    _llama("linear", {"scaling": plain()}, **rope("linear", factor=4.0)),
    # the base moves with every token beyond the 16th, but what is in the cache stays
    Case(
        "llama-dynamic",
        "llama",
        TEXT | {"max_position_embeddings": 16} | rope("dynamic", factor=3.0),
        {"scaling": plain(), "original length": {"max_position_embeddings": 20}},
        stale_keys=True,
    ),
    _llama(
        "dynamic-within",
        {"original length": {"max_position_embeddings": 16}},
        max_position_embeddings=64,
        **rope("dynamic", factor=3.0),
    ),
    _yarn("", {"scaling": plain(), "truncate": {"rope_parameters.truncate": False}}),
    _yarn("-truncated", {"scaling": plain(), "truncate": {"rope_parameters.truncate": False}}, truncate=True),
    _yarn("-untruncated", {"scaling": plain(), "truncate": {"rope_parameters.truncate": True}}, truncate=False),
    _yarn(
        "-mscale",
        {"mscale": {"rope_parameters.mscale": 0.4}, "mscale_all_dim": {"rope_parameters.mscale_all_dim": 1.3}},
        mscale=1.3,
        mscale_all_dim=0.4,
    ),
    _yarn("-attention-factor", {"attention factor": {"rope_parameters.attention_factor": None}}, attention_factor=1.4),
    _llama(
        "llama3",
        {"scaling": plain(), "low_freq_factor": {"rope_parameters.low_freq_factor": 2.0}},
        **rope("llama3", **LLAMA3),
    ),
    Case(
        "llama-longrope-short",
        "llama",
        TEXT | rope("longrope", original_max_position_embeddings=64, **LONG),
        {"scaling": plain(), "short factors": {"rope_parameters.short_factor": [1.0] * HALF}},
        older_extra={"original_max_position_embeddings": 64},
    ),
    Case(
        "llama-longrope-long",
        "llama",
        TEXT | rope("longrope", original_max_position_embeddings=16, factor=2.0, **LONG),
        {
            "long factors": {"rope_parameters.long_factor": LONG["short_factor"]},
            "factor": {"rope_parameters.factor": 8.0},
        },
        # version 4 had no use for the factor
        older=False,
    ),
]

LLAMA = [
    Case("llama", "llama", TEXT | rope(), theta_off()),
    Case("llama-tied", "llama", TEXT | {"tie_word_embeddings": True}, tie_off()),
    Case("llama-f16", "llama", TEXT, dtype="float16"),
    Case("llama-f32", "llama", TEXT | {"num_hidden_layers": 1}, dtype="float32"),
    Case("llama-sharded", "llama", TEXT, shard_size="20KB"),
    Case("llama-padded-vocabulary", "llama", TEXT | {"vocab_size": 100}, padding=64),
    _llama(
        "biases",
        {"attention bias": {"attention_bias": False}, "MLP bias": {"mlp_bias": False}},
        attention_bias=True,
        mlp_bias=True,
    ),
    Case("iquestcoder", "iquestcoder", TEXT | rope(), theta_off(), older=False),
]

SMOLLM3 = TEXT | {"num_hidden_layers": 3, "no_rope_layers": [1, 0, 1]} | rope()
NO_ROPE = {"layers without RoPE": {"no_rope_layers": [1, 1, 1]}}
SMOL = [
    Case("smollm3", "smollm3", SMOLLM3, theta_off() | NO_ROPE),
    Case("smollm3-tied", "smollm3", SMOLLM3 | {"tie_word_embeddings": True}, tie_off()),
    Case(
        "smollm3-window",
        "smollm3",
        SMOLLM3 | {"use_sliding_window": True, "sliding_window": 8},
        window_off() | {"which layers slide": {"layer_types": [SLIDING, FULL, FULL]}},
    ),
    Case("smollm3-yarn", "smollm3", SMOLLM3 | rope("yarn", **YARN), {"scaling": plain()}),
]

LLAMA4 = TEXT | {
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 12,
    "intermediate_size_mlp": 24,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2,
    "attention_chunk_size": 8,
    "attn_temperature_tuning": True,
    "floor_scale": 4,
    "attn_scale": 0.3,
    "use_qk_norm": True,
}
LLAMA4_FEATURES = {
    "chunks": {"attention_chunk_size": 64},
    "temperature tuning": {"attn_temperature_tuning": False},
    "norm of queries and keys": {"use_qk_norm": False},
    "layers without RoPE": {"no_rope_layers": [1, 1, 1, 1]},
}
IRREGULAR = {"moe_layers": [0, 3], "no_rope_layers": [0, 1, 1, 0]}
LLAMA4_LACKS = ("layer_types", "moe_layers")
LLAMA_4 = [
    Case(
        "llama4_text",
        "llama4_text",
        LLAMA4 | rope(),
        LLAMA4_FEATURES | theta_off(500000.0),
        older_extra={"no_rope_layers": []},
        older_lacks=LLAMA4_LACKS,
    ),
    Case(
        "llama4_text-llama3",
        "llama4_text",
        LLAMA4 | {"use_qk_norm": False} | rope("llama3", **LLAMA3),
        {"scaling": plain(), "norm of queries and keys": {"use_qk_norm": True}},
    ),
    Case(
        "llama4_text-layers",
        "llama4_text",
        LLAMA4 | IRREGULAR,
        {"layers without RoPE": {"no_rope_layers": [1, 0, 1, 0]}},
    ),
    # as MobileLLM has it
    Case("llama4_text-dense", "llama4_text", LLAMA4 | {"moe_layers": []}, LLAMA4_FEATURES),
]
CASES = [*LLAMA, *ROPE, *SMOL, *LLAMA_4]
