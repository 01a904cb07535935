# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Qwen family."""

from matrix import Architecture
from oracle import mx
from specs import LLAMA, QWEN3

LAYERS = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 64,
    "head_dim": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": False,
}
# heads share the hidden size, and are 32 wide for the quantized caches
QWEN2 = LLAMA | {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 96,
    "hidden_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 0.01,
    "rope_theta": 100000.0,
}
MROPE = {"type": "mrope", "mrope_section": [4, 6, 6]}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, "beta_fast": 8.0}
QWEN2_MOE = QWEN2 | {
    "model_type": "qwen2_moe",
    "architectures": ["Qwen2MoeForCausalLM"],
    "hidden_size": 32,
    "num_attention_heads": 1,
    "num_key_value_heads": None,
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 64,
}
QWEN3_MOE = (
    QWEN3
    | LAYERS
    | {
        "model_type": "qwen3_moe",
        "architectures": ["Qwen3MoeForCausalLM"],
        "vocab_size": 128,
        "num_hidden_layers": 3,
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [0],
        "norm_topk_prob": True,
    }
)
VISION = {"vision_tower.blocks.0.norm1.weight": (8,)}
EXPERTS = ("gate_proj", "up_proj", "down_proj")


def _wrapper(model_type, text, **more):
    return {"model_type": model_type, "text_config": text | {"model_type": f"{model_type}_text"} | more}


def _unstacked(config, arrays):
    """Each expert's matrices under a name of their own."""
    raw = {}
    for key, value in arrays.items():
        path, found, part = key.partition(".switch_mlp.")
        if not found:
            raw[key] = value
        for expert in range(value.shape[0] if found else 0):
            raw[f"{path}.experts.{expert}.{part}"] = mx.contiguous(value[expert])
    return config, raw


def _flat(config, arrays):
    """The older layout: no text_config, and the text model's names as if it were alone."""
    raw = {key.removeprefix("language_model."): value for key, value in arrays.items()}
    whole = {key: value for key, value in config.items() if key != "text_config"}
    return config["text_config"] | whole, raw | {"visual.merger.ln_q.weight": mx.ones(8)}


def _nested(config, arrays):
    """Both towers under `model`, the output layer beside it."""
    text, whole = "language_model.model.", "language_model."
    raw = {
        f"model.language_model.{key.removeprefix(text)}" if key.startswith(text) else key.removeprefix(whole): value
        for key, value in arrays.items()
    }
    return config, raw | {"model.visual.merger.norm.weight": mx.ones(8)}


def _fused(config, arrays):
    """The same with the experts of a layer in two tensors of (experts, in, out)."""
    raw = dict(arrays)
    for key in [key for key in arrays if key.endswith(".switch_mlp.gate_proj.weight")]:
        mlp = key.removesuffix(".switch_mlp.gate_proj.weight")
        gate, up, down = (raw.pop(f"{mlp}.switch_mlp.{name}.weight").swapaxes(-1, -2) for name in EXPERTS)
        raw[f"{mlp}.experts.gate_up_proj"] = mx.concatenate([gate, up], axis=-1)
        raw[f"{mlp}.experts.down_proj"] = mx.contiguous(down)
    return _nested(config, raw)


ARCHITECTURES = [
    Architecture("qwen2", QWEN2 | {"rope_traditional": True, "rope_scaling": YARN}),
    Architecture(
        "qwen2-tied",
        {key: value for key, value in QWEN2.items() if key not in ("tie_word_embeddings", "rope_theta")},
        modes=(),
        dropped={"model.layers.0.self_attn.rotary_emb.inv_freq": (16,)},
        committed=False,
    ),
    Architecture("qwen2_moe", QWEN2_MOE, raw=_unstacked),
    Architecture(
        "qwen2_vl",
        _wrapper("qwen2_vl", QWEN2, rope_scaling=MROPE),
        raw=_flat,
        dropped=VISION,
    ),
    Architecture(
        "qwen2_5_vl",
        _wrapper("qwen2_5_vl", QWEN2, rope_scaling=MROPE | {"type": "default"}),
        raw=_nested,
        dropped=VISION,
        committed=False,
    ),
    Architecture("qwen3-heads", QWEN3 | LAYERS),
    Architecture("qwen3_moe", QWEN3_MOE, modes=("4bit", "mxfp4", "mxfp8", "nvfp4"), raw=_unstacked),
    # every second layer has experts, whose scores are not normalized
    Architecture(
        "qwen3_moe-sparse",
        QWEN3_MOE
        | {
            "num_hidden_layers": 2,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [],
            "norm_topk_prob": False,
            "tie_word_embeddings": True,
        },
        modes=(),
        dropped={"lm_head.weight": (4, 32)},
        committed=False,
    ),
    Architecture(
        "qwen3_vl",
        _wrapper("qwen3_vl", QWEN3 | LAYERS, rope_scaling={"rope_type": "default", "mrope_interleaved": True}),
        raw=_nested,
        dropped=VISION,
    ),
    Architecture(
        "qwen3_vl_moe",
        _wrapper("qwen3_vl_moe", QWEN3_MOE, num_hidden_layers=2, mlp_only_layers=[]),
        raw=_fused,
        dropped=VISION,
    ),
]
