# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Qwen family's text models."""

from .case import EXPERTS, FULL, QUOTIENT, SLIDING, TEXT, Case, plain, rope, theta_off, tie_off, window_off

YARN = rope("yarn", factor=4.0, original_max_position_embeddings=64)
# the last two layers slide
WINDOW = {"num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
WINDOW_OFF = window_off() | {"max_window_layers": {"layer_types": [SLIDING] * 3}}
# what version 4 wrote of a window that is switched off
UNUSED = {"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 0}
# left out while the other settings tell them
LACKS = ("layer_types",)
TOP = {"norm of the top": {"norm_topk_prob": False}}

DENSE = [
    Case(
        "qwen2",
        "qwen2",
        QUOTIENT | rope(),
        theta_off() | {"bias": r"[qkv]_proj\.bias"},
        older_extra=UNUSED,
        older_lacks=LACKS,
    ),
    Case("qwen2-tied", "qwen2", QUOTIENT | {"tie_word_embeddings": True}, tie_off()),
    Case("qwen2-window", "qwen2", QUOTIENT | WINDOW, WINDOW_OFF, older_lacks=LACKS),
    Case("qwen2-yarn", "qwen2", QUOTIENT | YARN, {"scaling": plain()}),
    Case("qwen3", "qwen3", TEXT | rope(), theta_off() | {"norms": r"[qk]_norm"}, older_extra=UNUSED, older_lacks=LACKS),
    Case("qwen3-tied", "qwen3", TEXT | {"tie_word_embeddings": True}, tie_off()),
    Case("qwen3-bias", "qwen3", TEXT | {"attention_bias": True}, {"bias": {"attention_bias": False}}),
    Case("qwen3-window", "qwen3", TEXT | WINDOW, WINDOW_OFF, older_lacks=LACKS),
    Case(
        "qwen3-layer-types",
        "qwen3",
        TEXT | WINDOW | {"layer_types": [SLIDING, FULL, SLIDING]},
        {"which layers slide": {"layer_types": [FULL, SLIDING, SLIDING]}},
    ),
    Case("qwen3-yarn", "qwen3", TEXT | YARN, {"scaling": plain()}),
]

SHARED = {"shared_expert_intermediate_size": 24}
QWEN2_MOE = QUOTIENT | EXPERTS | SHARED
QWEN3_MOE = TEXT | EXPERTS | {"norm_topk_prob": True}
MOE = [
    Case("qwen2_moe", "qwen2_moe", QWEN2_MOE, {"shared expert": "shared_expert_gate", "bias": r"[qkv]_proj\.bias"}),
    Case("qwen2_moe-top", "qwen2_moe", QWEN2_MOE | {"norm_topk_prob": True}, TOP),
    Case("qwen2_moe-unbiased", "qwen2_moe", QWEN2_MOE | {"qkv_bias": False}),
    Case("qwen2_moe-native", "qwen2_moe", QWEN2_MOE, layout="native", older=False),
    # every other layer of the first two slides
    Case(
        "qwen2_moe-window",
        "qwen2_moe",
        QWEN2_MOE | WINDOW | {"max_window_layers": 2},
        window_off() | {"which layers slide": {"layer_types": [FULL, FULL, SLIDING]}},
        older_lacks=LACKS,
    ),
    Case("qwen2_moe-dense-layers", "qwen2_moe", QWEN2_MOE | {"num_hidden_layers": 3, "mlp_only_layers": [1]}),
    Case("qwen3_moe", "qwen3_moe", QWEN3_MOE | rope(), TOP | theta_off()),
    Case("qwen3_moe-unnormed", "qwen3_moe", QWEN3_MOE | {"norm_topk_prob": False}, {"top": {"norm_topk_prob": True}}),
    Case("qwen3_moe-native", "qwen3_moe", QWEN3_MOE, layout="native", older=False),
    Case("qwen3_moe-window", "qwen3_moe", QWEN3_MOE | {"use_sliding_window": True, "sliding_window": 8}, window_off()),
    Case("qwen3_moe-sparse-step", "qwen3_moe", QWEN3_MOE | {"num_hidden_layers": 3, "decoder_sparse_step": 2}),
]

LINEAR = {
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
    "rms_norm_eps": 0.005,
}
HALF = rope(partial_rotary_factor=0.5)
PARTIAL = {"partial rotary factor": {"rope_parameters.partial_rotary_factor": 0.25}}
PARTIAL_DEFAULT = {"partial rotary factor": {"rope_parameters.partial_rotary_factor": 0.5}}
IRREGULAR = {"layer_types": ["linear_attention", FULL, "linear_attention", "linear_attention"]}
NEXT = TEXT | LINEAR | EXPERTS | SHARED | {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}
HYBRID = [
    Case(
        "qwen3_next",
        "qwen3_next",
        NEXT | HALF,
        PARTIAL | theta_off() | TOP,
        older_extra={"full_attention_interval": 4},
        older_lacks=LACKS,
    ),
    Case("qwen3_next-layer-types", "qwen3_next", NEXT | IRREGULAR | rope(), PARTIAL_DEFAULT),
    Case("qwen3_next-native", "qwen3_next", NEXT, layout="native", older=False),
    Case("qwen3_5_text", "qwen3_5_text", TEXT | LINEAR | HALF, PARTIAL | theta_off(), older=False),
    Case("qwen3_5_text-tied", "qwen3_5_text", TEXT | LINEAR | {"tie_word_embeddings": True}, tie_off(), older=False),
    Case("qwen3_5_text-layer-types", "qwen3_5_text", TEXT | LINEAR | IRREGULAR | rope(), PARTIAL_DEFAULT, older=False),
    Case("qwen3_5_moe_text", "qwen3_5_moe_text", NEXT | HALF, PARTIAL | theta_off(), older=False),
    Case("qwen3_5_moe_text-native", "qwen3_5_moe_text", NEXT, layout="native", older=False),
]
CASES = [*DENSE, *MOE, *HYBRID]
