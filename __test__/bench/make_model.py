# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Write a model of random weights with the dimensions of Qwen3-0.6B, in bf16 or quantized to 4 bits.

usage: make_model.py FOLDER bf16|4bit

Speed does not depend on what the weights are, so quantized ones are drawn as they are stored.
"""

import json
import sys
from pathlib import Path

import mlx.core as mx

CONFIG = {
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
GROUP_SIZE, BITS = 64, 4


def matrix(name: str, rows: int, columns: int, quantized: bool) -> dict[str, mx.array]:
    """The tensors of one weight of shape (rows, columns)."""
    if not quantized:
        return {f"{name}.weight": (mx.random.normal((rows, columns)) * 0.02).astype(mx.bfloat16)}
    scales = (mx.random.uniform(0.5, 1.5, (rows, columns // GROUP_SIZE)) * 0.005).astype(mx.bfloat16)
    return {
        f"{name}.weight": mx.random.randint(0, 2**31 - 1, (rows, columns * BITS // 32)).astype(mx.uint32),
        f"{name}.scales": scales,
        f"{name}.biases": scales * -7.5,
    }


def norm(name: str, dims: int) -> dict[str, mx.array]:
    return {f"{name}.weight": mx.random.uniform(0.7, 1.3, (dims,)).astype(mx.bfloat16)}


def weights(quantized: bool) -> dict[str, mx.array]:
    c = CONFIG
    hidden, inner, head = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    tensors = matrix("model.embed_tokens", c["vocab_size"], hidden, quantized) | norm("model.norm", hidden)
    for index in range(c["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        for part, rows, columns in [
            ("self_attn.q_proj", q, hidden),
            ("self_attn.k_proj", kv, hidden),
            ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, q),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ]:
            tensors |= matrix(f"{layer}.{part}", rows, columns, quantized)
        for part, dims in [
            ("self_attn.q_norm", head),
            ("self_attn.k_norm", head),
            ("input_layernorm", hidden),
            ("post_attention_layernorm", hidden),
        ]:
            tensors |= norm(f"{layer}.{part}", dims)
    return tensors


def main(folder: Path, kind: str) -> None:
    mx.random.seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(CONFIG)
    if kind == "4bit":
        config["quantization"] = {"group_size": GROUP_SIZE, "bits": BITS}
    mx.save_safetensors(str(folder / "model.safetensors"), weights(kind == "4bit"), metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
