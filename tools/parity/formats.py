# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Checkpoints as other tools than mlx-lm store them, where mlx-lm loads them as they are."""

from families.llama import LAYERS
from families.qwen import QWEN3_MOE
from matrix import DEFAULT, MODES
from oracle import generator, mx, np
from specs import LLAMA, Spec

# which of a word's integers comes first, second, …: AutoAWQ's order
ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
SMALL = LLAMA | LAYERS | {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "attention_bias": True}
# AutoAWQ and GPTQ leave these alone
LAYERS_ONLY = MODES["4bit"] | {"model.embed_tokens": False, "lm_head": False}
SHARED = {"cases": DEFAULT, "native": False}


def _integers(words):
    """MLX's words of (rows, columns / 8) as integers of (rows, columns)."""
    shifts = np.arange(8, dtype=np.uint32) * 4
    return (words[..., None] >> shifts & 15).reshape(words.shape[0], -1)


def _awq_words(integers):
    """Integers of (rows, columns) as AutoAWQ's words of (rows, columns / 8)."""
    shifts = np.array(ORDER, dtype=np.uint32) * 4
    groups = integers.astype(np.uint32).reshape(integers.shape[0], -1, 8)
    return mx.array((groups << shifts).sum(-1, dtype=np.uint32)).view(mx.int32)


def _awq(config, arrays):
    """AutoAWQ's layers, with a zero point for each group, and norms in another dtype than the scales."""
    raw = {}
    for name, value in arrays.items():
        at, _, part = name.rpartition(".")
        if f"{at}.scales" not in arrays:
            raw[name] = value.astype(mx.bfloat16) if "norm" in name else value
        elif part == "weight":
            scales = arrays[f"{at}.scales"].T
            zeros = generator(at, "zeros").integers(4, 13, scales.shape)
            raw[f"{at}.qweight"] = _awq_words(_integers(np.array(value)).T)
            raw[f"{at}.qzeros"] = _awq_words(zeros)
            raw[f"{at}.scales"] = mx.contiguous(scales)
        elif part == "bias":
            raw[name] = value
    method = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
    return _method(config, method), raw


def _gptq(config, arrays):
    """The same without zero points."""
    config, raw = _awq(config, arrays)
    raw = {name: value for name, value in raw.items() if not name.endswith(".qzeros")}
    return _method(config, {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}), raw


def _method(config, method):
    config = {key: value for key, value in config.items() if key != "quantization"}
    return config | {"quantization_config": method}


def _named(**method):
    """What MLX has, under another tool's name."""
    return lambda config, arrays: (_method(config, method), arrays)


def _microscaling(name, mode, raw):
    return Spec(name, SMALL, dtype="bfloat16", quantization=MODES[mode], raw=raw, committed=False, **SHARED)


ALL = [
    Spec("llama-awq", SMALL, dtype="float16", quantization=LAYERS_ONLY, raw=_awq, **SHARED),
    Spec("llama-gptq", SMALL, dtype="float16", quantization=LAYERS_ONLY, raw=_gptq, committed=False, **SHARED),
    _microscaling("llama-mxfp4-raw", "mxfp4", _named(quant_method="compressed-tensors", format="mxfp4-pack-quantized")),
    _microscaling("llama-mxfp8-raw", "mxfp8", _named(quant_method="mxfp8")),
    _microscaling("llama-nvfp4-raw", "nvfp4", _named(quant_method="modelopt", quant_algo="NVFP4")),
    # a second scale for each expert; one of the layers is not in config.json
    Spec(
        "qwen3_moe-nvfp4-global",
        QWEN3_MOE | {"num_hidden_layers": 2},
        dtype="bfloat16",
        quantization=MODES["nvfp4"] | {"global_scale": True},
        undeclared=("model.layers.1.mlp.switch_mlp.gate_proj",),
        **SHARED,
    ),
]
