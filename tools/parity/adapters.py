# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Models with an adapter, which models.py makes with mlx-lm."""

from families.qwen import QWEN3_MOE
from families.qwen_next import QWEN3_NEXT
from matrix import DEFAULT, MODES
from specs import LLAMA, Case, Spec

BIASED = LLAMA | {"attention_bias": True, "mlp_bias": True}
TIED = LLAMA | {"tie_word_embeddings": True}
# so long that the experts of a whole prompt are sorted
CASES = (*DEFAULT, Case("sorted", (40,), 2))
ATTENTION_AND_MLP = ["self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.down_proj"]

PROJECTIONS = ["linear_attn.in_proj_qkvz", "linear_attn.in_proj_ba"]


def _config(kind, num_layers, keys=None, rank=4, scale=3.0):
    # dropout is for training alone
    parameters = {"rank": rank, "scale": scale, "dropout": 0.5}
    parameters |= {"keys": keys} if keys else {}
    return {"fine_tune_type": kind, "num_layers": num_layers, "lora_parameters": parameters}


def _spec(name, config, adapter, **more):
    return Spec(name, config, adapter=adapter, **({"cases": CASES, "native": False} | more))


QUANTIZED = {"dtype": "bfloat16", "quantization": MODES["4bit"]}
ALL = [
    # some of the layers that are joined where there is no adapter, and some that are not
    _spec("llama-4bit-lora", BIASED, _config("lora", 1, ATTENTION_AND_MLP), native=True, **QUANTIZED),
    _spec("llama-dora", BIASED, _config("dora", 2), dtype="bfloat16", native=True),
    _spec("llama-4bit-dora", BIASED, _config("dora", 1, ATTENTION_AND_MLP), **QUANTIZED),
    _spec("qwen3_moe-4bit-lora", QWEN3_MOE, _config("lora", 2), **QUANTIZED),
    # what is one projection there, and two here
    _spec("qwen3_next-4bit-lora", QWEN3_NEXT, _config("lora", 4, PROJECTIONS), **QUANTIZED),
    _spec("qwen3_next-dora", QWEN3_NEXT, _config("dora", 4, PROJECTIONS), dtype="bfloat16", committed=False),
    # tied, so that the embedding is the output layer too
    _spec("llama-4bit-embedding-lora", TIED, _config("lora", 0, ["model.embed_tokens"]), **QUANTIZED),
    _spec("llama-embedding-dora", TIED, _config("dora", 0, ["model.embed_tokens"]), dtype="bfloat16"),
    _spec("llama-full", BIASED, _config("full", 1), dtype="bfloat16"),
]
