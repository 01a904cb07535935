# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Multimodal models saved whole, with towers as small as they get: their text models alone are cases elsewhere."""

from dataclasses import replace

from . import gemma, llama, mistral, qwen
from .case import QUOTIENT, TEXT, Case, plain, rope, theta_off, tie_off, window_off

AT = "text_config."
WINDOW = window_off(prefix=AT)


def _default_tie(case):
    """The same where the text model's config has what it has by default: the wrapper's counts."""
    return replace(case, features={"head": "lm_head"}, edited={f"{AT}tie_word_embeddings": True})


def _wrapped(name, model_type, text_type, text, features=None, vision=None, older=True, older_extra=None, **more):
    config = {"text_config": {"model_type": text_type, **text}, "tie_word_embeddings": text["tie_word_embeddings"]}
    config |= {"vision_config": vision} if vision else {}
    changes = {}
    if older_extra:
        changes["older_extra"] = {AT + key: value for key, value in older_extra.items()}
        changes["older_lacks"] = (f"{AT}per_layer_config",)
    return Case(name, model_type, config | more, features or {}, older=older, **changes)


def _native(case):
    """The same with the names and layouts of transformers 5."""
    return replace(case, name=f"{case.name}-native", layout="native", features={}, older=False)


PIXTRAL = {
    "model_type": "pixtral",
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 8,
}
MISTRAL = TEXT | {"sliding_window": None} | rope()
MISTRALS = [
    _wrapped("mistral3", "mistral3", "mistral", MISTRAL, theta_off(prefix=AT), PIXTRAL),
    _wrapped(
        "mistral3-ministral3",
        "mistral3",
        "ministral3",
        TEXT | mistral.MINISTRAL,
        {"growing queries": {f"{AT}rope_parameters.llama_4_scaling_beta": 0.0}},
        PIXTRAL,
        older=False,
    ),
    _wrapped(
        "mistral3-tied", "mistral3", "mistral", MISTRAL | {"tie_word_embeddings": True}, tie_off(), PIXTRAL, older=False
    ),
    _wrapped("mistral3-window", "mistral3", "mistral", MISTRAL | {"sliding_window": 8}, WINDOW, PIXTRAL),
    _wrapped(
        "mistral3-mistral4",
        "mistral3",
        "mistral4",
        mistral.LATENT,
        {"growing queries": {f"{AT}rope_parameters.llama_4_scaling_beta": 0.0}},
        PIXTRAL,
        older=False,
    ),
    # as Pixtral is published
    _wrapped("llava-pixtral", "llava", "mistral", MISTRAL, theta_off(prefix=AT), PIXTRAL),
]

LLAMA4_VISION = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "vision_output_dim": 8,
    "projector_input_dim": 8,
    "projector_output_dim": 8,
    "image_size": 8,
    "patch_size": 4,
}
LLAMA4 = [
    _wrapped(
        "llama4",
        "llama4",
        "llama4_text",
        llama.LLAMA4 | rope("llama3", **llama.LLAMA3),
        {
            "scaling": {f"{AT}rope_parameters": plain()["rope_parameters"]},
            "chunks": {f"{AT}attention_chunk_size": 64},
            "temperature tuning": {f"{AT}attn_temperature_tuning": False},
            "norm of queries and keys": {f"{AT}use_qk_norm": False},
        },
        LLAMA4_VISION,
    ),
    _wrapped(
        "llama4-layers",
        "llama4",
        "llama4_text",
        llama.LLAMA4 | llama.IRREGULAR | {"use_qk_norm": False},
        {"layers without RoPE": {f"{AT}no_rope_layers": [1, 0, 1, 0]}},
        LLAMA4_VISION,
    ),
]

QWEN_VISION = {
    "depth": 1,
    "hidden_size": 8,
    "num_heads": 2,
    "intermediate_size": 8,
    "patch_size": 4,
    "temporal_patch_size": 1,
    "spatial_merge_size": 1,
    "out_hidden_size": 32,
}
QWEN3_VISION = QWEN_VISION | {"num_position_embeddings": 16}
DEEP_VISION = QWEN3_VISION | {"deepstack_visual_indexes": [0]}
QWEN2_VISION = {key: value for key, value in QWEN_VISION.items() if key not in ("intermediate_size", "out_hidden_size")}
QWEN2_VISION |= {"embed_dim": 8, "hidden_size": 32, "mlp_ratio": 1}
SECTIONS = rope(mrope_section=[2, 3, 3])
INTERLEAVED = rope(mrope_section=[4, 2, 2], mrope_interleaved=True)
# always normed, so there is no setting
UNNAMED = {key: value for key, value in qwen.QWEN3_MOE.items() if key != "norm_topk_prob"} | INTERLEAVED
HALF = rope(mrope_section=[2, 1, 1], mrope_interleaved=True, partial_rotary_factor=0.5)
THETA = theta_off(prefix=AT)
PARTIAL = {"partial rotary factor": {f"{AT}rope_parameters.partial_rotary_factor": 0.25}}
TIED = {"tie_word_embeddings": True}
# either counts
UNTIED = {"tied": {"tie_word_embeddings": False, f"{AT}tie_word_embeddings": False}}
QWENS = [
    _wrapped("qwen2_vl", "qwen2_vl", "qwen2_vl_text", QUOTIENT | SECTIONS, THETA, QWEN2_VISION),
    _wrapped("qwen2_vl-tied", "qwen2_vl", "qwen2_vl_text", QUOTIENT | TIED | SECTIONS, UNTIED, QWEN2_VISION),
    _wrapped("qwen2_5_vl", "qwen2_5_vl", "qwen2_5_vl_text", QUOTIENT | SECTIONS, THETA, QWEN_VISION),
    _wrapped("qwen3_vl", "qwen3_vl", "qwen3_vl_text", TEXT | INTERLEAVED, THETA, DEEP_VISION),
    _wrapped("qwen3_vl-tied", "qwen3_vl", "qwen3_vl_text", TEXT | TIED | INTERLEAVED, tie_off(), DEEP_VISION),
    _wrapped(
        "qwen3_vl_moe",
        "qwen3_vl_moe",
        "qwen3_vl_moe_text",
        UNNAMED,
        THETA,
        DEEP_VISION,
        older=False,
    ),
    _default_tie(
        _wrapped("qwen3_vl_moe-untied", "qwen3_vl_moe", "qwen3_vl_moe_text", UNNAMED, None, DEEP_VISION, older=False)
    ),
    _wrapped("qwen3_5", "qwen3_5", "qwen3_5_text", TEXT | qwen.LINEAR | HALF, PARTIAL, QWEN3_VISION, older=False),
    _wrapped("qwen3_5_moe", "qwen3_5_moe", "qwen3_5_moe_text", qwen.NEXT | HALF, PARTIAL, QWEN3_VISION, older=False),
]

SIGLIP = {
    "model_type": "siglip_vision_model",
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "intermediate_size": 8,
    "image_size": 16,
    "patch_size": 8,
    "vision_use_head": False,
}
SOUND = {
    "hidden_size": 8,
    "vocab_size": 4,
    "input_feat_size": 8,
    "conf_num_attention_heads": 2,
    "conf_num_hidden_layers": 1,
    "sscp_conv_channel_size": [4, 2],
}
GEMMA4_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "patch_size": 4,
    "position_embedding_size": 4,
}
GLOBAL_HEADS, GLOBAL_KEYS = gemma.GLOBAL_HEADS, gemma.GLOBAL_KEYS
GEMMAS = [
    _wrapped(
        "gemma3",
        "gemma3",
        "gemma3_text",
        gemma.GEMMA3,
        WINDOW | gemma.by_layer_off(AT),
        SIGLIP,
        mm_tokens_per_image=4,
    ),
    _default_tie(
        _wrapped(
            "gemma3-untied",
            "gemma3",
            "gemma3_text",
            gemma.GEMMA3 | {"tie_word_embeddings": False},
            None,
            SIGLIP,
            older=False,
            mm_tokens_per_image=4,
        )
    ),
    _wrapped(
        "gemma3n",
        "gemma3n",
        "gemma3n_text",
        gemma.GEMMA3N,
        WINDOW | gemma.by_layer_off(AT),
        {"hidden_size": 8, "vocab_size": 4},
        audio_config=SOUND,
    ),
    _wrapped("gemma4", "gemma4", "gemma4_text", gemma.SMALL, WINDOW, GEMMA4_VISION, older_extra=GLOBAL_HEADS),
    _wrapped("gemma4-moe", "gemma4", "gemma4_text", gemma.LARGE | gemma.MOE, WINDOW, older_extra=GLOBAL_KEYS),
    _wrapped(
        "gemma4_unified",
        "gemma4_unified",
        "gemma4_unified_text",
        {key: value for key, value in gemma.LARGE.items() if "per_layer" not in key},
        WINDOW,
        {"patch_size": 2, "pooling_kernel_size": 1, "mm_embed_dim": 16, "mm_posemb_size": 4, "output_proj_dims": 16},
        older=False,
    ),
]
# as on the Hub, which transformers does not write any more
MOE = next(case for case in QWENS if case.name == "qwen3_vl_moe")
SWAPPED = replace(MOE, name="qwen3_vl_moe-swapped", swapped=r"experts\.(gate_up|down)_proj$", features={}, older=True)
HUB = [*MISTRALS, *LLAMA4, *QWENS, SWAPPED, *(replace(case, **gemma.SIZES) for case in GEMMAS)]
RENAMED = {"mistral3", "llava-pixtral", "llama4", "qwen2_vl", "qwen2_5_vl", "gemma3"}
CASES = [*HUB, *(_native(case) for case in HUB if case.name in RENAMED)]
