# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Phi family, and GPT-OSS."""

from .case import FULL, QUOTIENT, SLIDING, TEXT, Case, plain, rope, theta_off, tie_off, window_off

PHI = {key: value for key, value in QUOTIENT.items() if key not in ("rms_norm_eps", "num_key_value_heads")} | {
    "layer_norm_eps": 0.005
}
PARTIAL = {"partial rotary factor": {"rope_parameters.partial_rotary_factor": 1.0}}
FIRST = [
    Case("phi", "phi", PHI | rope(), theta_off() | PARTIAL),
    Case("phi-partial", "phi", PHI | rope(partial_rotary_factor=0.25), PARTIAL),
    Case(
        "phi-norms",
        "phi",
        PHI | {"qk_layernorm": True, "num_key_value_heads": 1} | rope(),
        {"norms of queries and keys": {"qk_layernorm": False}},
    ),
]

HALF = 8
SHORT = [1 + 0.1 * index for index in range(HALF)]
LONG = [1.5 + 0.5 * index for index in range(HALF)]
FACTORS = {"short_factor": SHORT, "long_factor": LONG}


def _longrope(name, original, features, factors=FACTORS):
    config = QUOTIENT | {"original_max_position_embeddings": original, "max_position_embeddings": 4 * original}
    lacks = ("rope_scaling.original_max_position_embeddings",)
    return Case(f"phi3-longrope-{name}", "phi3", config | rope("longrope", **factors), features, older_lacks=lacks)


LIMIT = {"original length": {"original_max_position_embeddings": 64}}
THIRD = [
    Case("phi3", "phi3", QUOTIENT | rope(), theta_off()),
    Case("phi3-tied", "phi3", QUOTIENT | {"tie_word_embeddings": True}, tie_off()),
    Case("phi3-window", "phi3", QUOTIENT | {"sliding_window": 8}, window_off()),
    Case(
        "phi3-partial",
        "phi3",
        QUOTIENT | rope(partial_rotary_factor=0.75),
        {"theta": {"rope_parameters.rope_theta": 9.0}},
    ),
    _longrope("short", 64, {"short factors": {"rope_parameters.short_factor": LONG}}),
    _longrope("long", 16, {"long factors": {"rope_parameters.long_factor": SHORT}} | LIMIT),
    # the 6th token is the first that is seen with the long factors
    _longrope("crossing", 28, LIMIT | {"short factors": {"rope_parameters.short_factor": LONG}}),
    # exactly as long as the original context, and one longer
    _longrope("border", 24, LIMIT | {"short factors": {"rope_parameters.short_factor": LONG}}),
    _longrope(
        "partial",
        16,
        LIMIT,
        factors={"short_factor": SHORT[:6], "long_factor": LONG[:6], "partial_rotary_factor": 0.75},
    ),
]

PHIMOE = QUOTIENT | {
    "intermediate_size": 12,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "attention_bias": True,
    "lm_head_bias": True,
}
MAGNITUDES = {"short_mscale": 1.2, "long_mscale": 1.5}
MOE = [
    Case(
        "phimoe",
        "phimoe",
        PHIMOE | rope(),
        theta_off(1000000.0)
        | {"attention bias": {"attention_bias": False}, "bias of the head": {"lm_head_bias": False}},
    ),
    Case("phimoe-unbiased", "phimoe", PHIMOE | {"attention_bias": False, "lm_head_bias": False}),
    Case(
        "phimoe-longrope-short",
        "phimoe",
        PHIMOE | rope("longrope", original_max_position_embeddings=64, **FACTORS, **MAGNITUDES),
        {"magnitude": {"rope_parameters.short_mscale": 1.0}, "factors": {"rope_parameters.short_factor": LONG}},
    ),
    # both sets of factors alike, as transformers uses the short ones for long texts, too
    Case(
        "phimoe-longrope-long",
        "phimoe",
        PHIMOE
        | rope("longrope", original_max_position_embeddings=16, short_factor=LONG, long_factor=LONG, **MAGNITUDES),
        {"magnitude": {"rope_parameters.long_mscale": 1.2}},
    ),
    Case("phimoe-window", "phimoe", PHIMOE | {"sliding_window": 8}, window_off(), older=False),
    Case("phimoe-native", "phimoe", PHIMOE, layout="native", older=False),
]

OSS = TEXT | {
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 12,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 8,
}
OSS_YARN = {"factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0, "beta_slow": 1.0}
GPT_OSS = [
    Case(
        "gpt_oss",
        "gpt_oss",
        OSS | rope("yarn", **OSS_YARN, truncate=False),
        window_off() | {"sinks": "sinks", "scaling": plain(), "truncate": {"rope_parameters.truncate": True}},
    ),
    Case(
        "gpt_oss-truncated",
        "gpt_oss",
        OSS | {"layer_types": [FULL, SLIDING, SLIDING]} | rope("yarn", **OSS_YARN),
        {
            "which layers slide": {"layer_types": [SLIDING, FULL, SLIDING]},
            "truncate": {"rope_parameters.truncate": False},
        },
    ),
    # with no `rope_scaling` at all, the default is YaRN
    Case(
        "gpt_oss-default",
        "gpt_oss",
        OSS | rope(),
        theta_off(150000.0),
        older_extra={"rope_scaling": {"rope_type": "default"}},
    ),
]
CASES = [*FIRST, *THIRD, *MOE, *GPT_OSS]
