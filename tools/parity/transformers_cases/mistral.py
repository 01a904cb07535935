# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Mistral family: dense models with an attention window, and models with experts."""

from .case import QUOTIENT, TEXT, Case, rope, theta_off, tie_off, window_off

YARN = {"factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0, "beta_slow": 1.0}
# queries grow at positions 8, 16, ...
MINISTRAL = rope("yarn", **YARN | {"original_max_position_embeddings": 8}, llama_4_scaling_beta=0.4)
SCALING = {"scaling": {"rope_parameters.factor": 1.0}}
GROWTH = {"growing queries": {"rope_parameters.llama_4_scaling_beta": 0.0}}

DENSE = [
    Case("mistral", "mistral", TEXT | {"sliding_window": None} | rope(), theta_off()),
    Case("mistral-window", "mistral", TEXT | {"sliding_window": 8}, window_off()),
    Case("mistral-tied", "mistral", TEXT | {"sliding_window": None, "tie_word_embeddings": True}, tie_off()),
    Case("ministral3", "ministral3", TEXT | MINISTRAL, SCALING | GROWTH, older=False),
    Case("ministral3-window", "ministral3", TEXT | {"sliding_window": 8} | MINISTRAL, window_off(), older=False),
]

MIXTRAL = QUOTIENT | {"intermediate_size": 12, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
LATENT = (
    TEXT
    | MINISTRAL
    | {
        "num_key_value_heads": 4,
        "moe_intermediate_size": 12,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "kv_lora_rank": 16,
        "q_lora_rank": 24,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
    }
)
del LATENT["head_dim"]
EXPERTS = [
    Case(
        "mixtral", "mixtral", MIXTRAL | rope(), theta_off(1000000.0) | {"experts a token": {"num_experts_per_tok": 1}}
    ),
    Case("mixtral-head-dim", "mixtral", MIXTRAL | {"head_dim": 12}),
    Case("mixtral-window", "mixtral", MIXTRAL | {"sliding_window": 8}, window_off()),
    Case("mixtral-native", "mixtral", MIXTRAL, layout="native", older=False),
    Case(
        "mistral4",
        "mistral4",
        LATENT | {"first_k_dense_replace": 1},
        SCALING | GROWTH | {"norm of the top": {"norm_topk_prob": False}, "interleaved": {"rope_interleave": False}},
        older=False,
    ),
    Case(
        "mistral4-groups",
        "mistral4",
        LATENT
        | {"n_group": 2, "topk_group": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": False, "q_lora_rank": None},
        {"groups": {"topk_group": 2}, "scale of experts": {"routed_scaling_factor": 1.0}},
        older=False,
    ),
]
CASES = [*DENSE, *EXPERTS]
