# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Write a model of random weights with the dimensions of a real one.

usage: make_model.py FOLDER bf16|4bit|mxfp4 [SHAPE [LAYERS]]

Speed does not depend on what the weights are, so they are drawn as they are stored. SHAPE is one of those below, LAYERS
how many it has if not all; in mxfp4 only experts are, and all else has 8 bits, as mlx-community has GPT-OSS.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes as get_classes

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rms_norm_eps": 1e-6,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
SHAPES = {
    # Qwen3-0.6B
    "qwen3": QWEN3,
    # for tests of the benchmarks
    "tiny": QWEN3
    | {
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 64,
    },
    "qwen3_8b": QWEN3
    | {
        "hidden_size": 4096,
        "num_hidden_layers": 36,
        "intermediate_size": 12288,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    },
    # Llama-3.2-1B, but for the scaling of its RoPE
    "llama_1b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "rms_norm_eps": 1e-5,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    },
    # Qwen3-30B-A3B, 8 of its 48 layers
    "qwen3_moe": QWEN3
    | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 8,
        "intermediate_size": 6144,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
        "tie_word_embeddings": False,
    },
    # gpt-oss-20b, 8 of its 24 layers
    "gpt_oss": {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "hidden_size": 2880,
        "num_hidden_layers": 8,
        "intermediate_size": 2880,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_local_experts": 32,
        "num_experts_per_tok": 4,
        "sliding_window": 128,
        "rms_norm_eps": 1e-5,
        "vocab_size": 201088,
        "max_position_embeddings": 131072,
        "rope_theta": 150000,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "original_max_position_embeddings": 4096,
            "truncate": False,
        },
        "layer_types": ["sliding_attention", "full_attention"] * 4,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    },
}
# a small Qwen3.5: 18 of 24 layers recurrent
SHAPES["qwen3_5"] = {
    "architectures": ["Qwen3_5ForCausalLM"],
    "model_type": "qwen3_5",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "intermediate_size": 3584,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "linear_num_value_heads": 16,
    "linear_num_key_heads": 16,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "rms_norm_eps": 1e-6,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25},
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
AFFINE_4 = {"group_size": 64, "bits": 4}
AFFINE_8 = {"group_size": 64, "bits": 8}
MXFP4 = {"group_size": 32, "bits": 4, "mode": "mxfp4"}


def setting(kind: str, path: str):
    """How a layer is quantized."""
    if kind == "mxfp4":
        return MXFP4 if "experts" in path else AFFINE_8
    return AFFINE_8 if path.endswith(("mlp.gate", "router")) else AFFINE_4


def draw(key: str, like: mx.array, scales: mx.array | None) -> mx.array:
    """Random numbers for a parameter of this shape and dtype."""
    if like.dtype == mx.uint32:
        return mx.random.randint(0, 2**31 - 1, like.shape).astype(mx.uint32)
    if like.dtype == mx.uint8:
        return mx.random.randint(118, 121, like.shape).astype(mx.uint8)
    if scales is not None:
        return scales * -7.5
    if key.endswith("scales"):
        return (mx.random.uniform(0.5, 1.5, like.shape) * 0.005).astype(mx.bfloat16)
    if key.endswith(("A_log", "dt_bias")):
        return mx.random.uniform(-1.0, 1.0, like.shape).astype(like.dtype)
    if "norm" in key:
        return mx.random.uniform(0.7, 1.3, like.shape).astype(mx.bfloat16)
    return (mx.random.normal(like.shape) * 0.02).astype(mx.bfloat16)


def main(folder: Path, kind: str, shape: str = "qwen3", layers: str | None = None) -> None:
    mx.random.seed(0)
    config = dict(SHAPES[shape])
    if layers is not None:
        config["num_hidden_layers"] = int(layers)
    model_class, args_class = get_classes(config)
    model = model_class(args_class.from_dict(config))
    if kind != "bf16":
        settings = {}

        def predicate(path, module):
            if not hasattr(module, "to_quantized"):
                return False
            settings[path] = setting(kind, path)
            return settings[path]

        nn.quantize(model, class_predicate=predicate)
        default = MXFP4 if kind == "mxfp4" else AFFINE_4
        config["quantization"] = default | {path: own for path, own in settings.items() if own != default}
    # parameters are lazy: only their shapes are looked at
    tensors = {}
    for key, like in sorted(tree_flatten(model.parameters()), reverse=True):
        # "scales" comes before "biases" in this order
        scales = tensors.get(key.replace(".biases", ".scales")) if key.endswith(".biases") else None
        tensors[key] = draw(key, like, scales)
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
