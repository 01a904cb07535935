# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The Mistral family."""

from matrix import Architecture
from oracle import mx, np
from specs import LLAMA

from .llama import LAYERS

# both ends of YaRN's ramp lie between the first and the last frequency; queries are scaled within the prompt
ROPE = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 8,
    "beta_fast": 1.0,
    "beta_slow": 0.05,
    "mscale": 1.3,
    "mscale_all_dim": 0.7,
    "llama_4_scaling_beta": 0.4,
}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}
MINISTRAL3 = LLAMA | LAYERS | HEADS | {"model_type": "ministral3", "rope_parameters": ROPE}
MISTRAL4 = {
    "model_type": "mistral4",
    "hidden_size": 32,
    "intermediate_size": 64,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "n_shared_experts": 2,
    "n_routed_experts": 6,
    "routed_scaling_factor": 1.7,
    "kv_lora_rank": 64,
    "q_lora_rank": 32,
    "norm_topk_prob": True,
    "max_position_embeddings": 512,
    "rms_norm_eps": 0.005,
    "topk_group": 2,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
    "n_group": 3,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 32,
    "v_head_dim": 16,
    "vocab_size": 64,
    "rope_interleave": True,
    "rope_parameters": ROPE,
}
# the other branches: queries not compressed, every layer of experts, no groups, nothing shared
MISTRAL4_PLAIN = MISTRAL4 | {
    "n_shared_experts": None,
    "n_routed_experts": 4,
    "q_lora_rank": None,
    "norm_topk_prob": False,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 0,
    "n_group": 1,
    "tie_word_embeddings": True,
    "v_head_dim": 48,
    "rope_interleave": False,
    "attention_bias": True,
    "rope_parameters": ROPE | {"mscale": 1.0, "mscale_all_dim": 0.0},
}
VISION = {"vision_tower.ln_pre.weight": (8,), "multi_modal_projector.linear_1.weight": (32, 8)}
NO_SLIDING = "its own caches ignore max_kv_size; RotatingKVCache cannot be quantized"
NO_LATENT = "mlx-lm's Mistral 4 computes scores of its own, which fails over a quantized cache"


def _wrapped(name, text):
    return {"model_type": name, "architectures": ["Mistral3ForConditionalGeneration"], "text_config": text}


def _inner_language_model(config, arrays):
    """The names of transformers 5, and weights that are to be multiplied by a scale."""
    del config["text_config"]["tie_word_embeddings"]
    raw = {}
    for name, value in arrays.items():
        name = name.removeprefix("language_model.")
        if name.startswith("model."):
            name = name.replace("model.", "model.language_model.", 1)
        if name.endswith("proj.weight"):
            raw[f"{name}_scale_inv"] = mx.array(0.5, value.dtype)
            raw[name.replace("weight", "activation_scale")] = mx.array(0.7, value.dtype)
            value = value * 2
        raw[name] = value
    return config, raw


def _kv_b(arrays):
    """embed_q and unembed_out as the one projection that they were."""
    arrays = dict(arrays)
    for name in [name for name in arrays if name.endswith("embed_q.weight")]:
        at = name.removesuffix("embed_q.weight")
        keys, values = arrays.pop(name), arrays.pop(f"{at}unembed_out.weight")
        both = mx.concatenate([keys.swapaxes(-1, -2), values], axis=1)
        arrays[f"{at}kv_b_proj.weight"] = both.reshape(-1, both.shape[-1])
    return arrays


def _fused(config, arrays):
    """kv_b_proj, and gate and up of all experts in one tensor."""
    arrays = _kv_b(arrays)
    for name in [name for name in arrays if name.endswith("switch_mlp.down_proj.weight")]:
        at = name.removesuffix("switch_mlp.down_proj.weight")
        gate, up = (arrays.pop(f"{at}switch_mlp.{part}_proj.weight") for part in ("gate", "up"))
        arrays[f"{at}experts.gate_up_proj"] = mx.concatenate([gate, up], axis=1)
        arrays[f"{at}experts.down_proj"] = arrays.pop(name)
    return config, arrays


def _one_by_one(arrays):
    """Experts with tensors of their own."""
    for name, value in arrays.items():
        if "switch_mlp" not in name:
            yield name, value
            continue
        for expert in range(value.shape[0]):
            yield name.replace("switch_mlp", f"experts.{expert}"), value[expert]


def _blocks(value):
    """A scale for each 128 × 128, different ones."""
    rows, columns = (-(-length // 128) for length in value.shape)
    return (0.01 + 0.002 * mx.arange(rows * columns)).reshape(rows, columns).astype(mx.float32)


def _fp8(config, arrays):
    """kv_b_proj, experts one by one, and matrices of the layers in fp8."""
    raw = {}
    for name, value in _one_by_one(_kv_b(arrays)):
        if not name.endswith(("proj.weight", "mqa.weight")):
            raw[name] = value
            continue
        scale = wide = mx.array(0.01)
        if "q_proj" not in name:
            scale = _blocks(value)
            wide = mx.repeat(mx.repeat(scale, 128, 0), 128, 1)[: value.shape[0], : value.shape[1]]
        raw[name] = ("F8_E4M3", value.shape, np.array(mx.to_fp8(value / wide)).tobytes())
        raw[f"{name}_scale_inv"] = scale
        raw[name.replace("weight", "activation_scale")] = mx.array(0.7)
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    return config, raw


def _int4(config, arrays):
    """kv_b_proj, experts one by one, and everything as compressed-tensors packs it."""
    dense = {}
    for part in ("embed_q", "unembed_out"):
        for name in [name for name in arrays if name.endswith(f"{part}.scales")]:
            at = name.removesuffix("scales")
            stored = [arrays.pop(at + kind) for kind in ("weight", "scales", "biases")]
            dense[f"{at}weight"] = mx.dequantize(*stored, group_size=32, bits=4)
    for name, value in _kv_b(dense).items():
        weight, scales, _ = mx.quantize(value, group_size=32, bits=4)
        arrays |= {name: weight, name.replace("weight", "scales"): scales}
    raw = {}
    for name, value in _one_by_one(arrays):
        at, kind = name.rsplit(".", 1)
        if kind == "scales":
            raw[f"{at}.weight_scale"] = value
            raw[f"{at}.weight_shape"] = mx.array([1, 1], mx.int32)
        elif value.dtype == mx.uint32:
            raw[f"{at}.weight_packed"] = value.view(mx.int32)
        elif kind != "biases":
            raw[name] = value
    del config["quantization"]
    config["quantization_config"] = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    return config, raw


ARCHITECTURES = [
    Architecture(
        "ministral3",
        MINISTRAL3
        | {
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "sliding_window": 8,
        },
        modes=("4bit", "mxfp4", "nvfp4"),
        caches=("plain",),
        why_not=NO_SLIDING,
        dropped={"model.layers.0.self_attn.rotary_emb.inv_freq": (16,)},
    ),
    Architecture("mistral4", MISTRAL4, caches=("rotating",), why_not=NO_LATENT, raw=_fused),
    Architecture(
        "mistral4-plain",
        MISTRAL4_PLAIN,
        modes=(),
        caches=("rotating",),
        why_not=NO_LATENT,
        raw=_fp8,
        committed=False,
    ),
    Architecture("mistral3", _wrapped("mistral3", LLAMA | LAYERS | HEADS), dropped=VISION),
    Architecture(
        "mistral3-ministral3",
        _wrapped("mistral3", MINISTRAL3),
        modes=(),
        raw=_inner_language_model,
        dropped={f"model.{name}": shape for name, shape in VISION.items()},
        committed=False,
    ),
    Architecture(
        "mistral3-mistral4",
        _wrapped("mistral3", MISTRAL4),
        modes=(),
        caches=("rotating",),
        why_not=NO_LATENT,
        raw=_int4,
        raw_mode="4bit",
        dropped=VISION,
        committed=False,
    ),
    Architecture("pixtral", _wrapped("pixtral", LLAMA | LAYERS | HEADS), dropped=VISION),
]
