# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""The table of fixtures: one `Spec` each, named as its folder.

The dimensions are chosen so that mistakes show: rms_norm_eps is of the order of the squares it is added
to, the contexts of the RoPE scalings end within the prompt, and no two sizes of a tensor are alike where
a transposition could hide. Everything else is kept small.

What Llama, Mistral and Qwen3 can be asked for lies here; every other architecture is one entry in families/.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One teacher-forced run: the prompt in chunks, then single tokens against the cache."""

    name: str
    chunks: tuple
    steps: int
    # which caches, as goldens.py has them; () for the model's own
    cache: tuple = ()


SHORT = (Case("short", (24,), 32), Case("chunked", (7, 17), 4))
# KVCache grows by 256: at prefill (long), within a chunked prefill, and in the middle of decoding (growth)
LONG = (Case("long", (300,), 4), Case("long_chunked", (200, 100), 2), Case("growth", (250,), 12))


@dataclass(frozen=True)
class Spec:
    """What one fixture folder holds."""

    name: str
    config: dict
    dtype: str = "float32"
    # {"bits", "group_size"} plus {module path: {...} or False}; None leaves the weights dense
    quantization: dict | None = None
    # module paths left out of config.json although they differ: mlx-lm infers them from the shapes
    undeclared: tuple = ()
    # tensors that real checkpoints hold and the model drops: {name: shape}
    dropped: dict = field(default_factory=dict)
    cases: tuple = SHORT
    shards: int = 1
    # a base fixture has a tokenizer and golden.json with mlx-lm's own generation
    base: bool = False
    # around which number norm weights lie: 0 for models that add 1 to them
    norm_mean: float = 1.0
    # the embedding's standard deviation: small enough that the blocks, not the token itself, decide what comes next
    embedding: float = 0.3
    # a second run in the checkpoint's own dtype, for devices that compute in it
    native: bool = True
    # the spec with the same weights in MLX's layout, and what makes the raw Hub layout of them
    like: str | None = None
    raw: Callable | None = None
    # adapter_config.json of the adapter that it runs with
    adapter: dict | None = None
    # committed, so that it runs in `npm test`; the others are made by `npm run parity` alone
    committed: bool = True

    @property
    def vocab_size(self):
        return self.config.get("vocab_size") or self.config["text_config"]["vocab_size"]


LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 0.002,
    "vocab_size": 64,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": None,
}
MISTRAL = LLAMA | {
    "model_type": "mistral",
    "architectures": ["MistralForCausalLM"],
    "head_dim": 16,
    "intermediate_size": 48,
    "rms_norm_eps": 0.005,
    "rope_theta": 1000000.0,
    "sliding_window": None,
}
QWEN3 = LLAMA | {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "head_dim": 16,
    "intermediate_size": 56,
    "rms_norm_eps": 0.01,
    "rope_theta": 1000000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "use_sliding_window": False,
    "tie_word_embeddings": True,
}
FAMILIES = {"llama": LLAMA, "mistral": MISTRAL, "qwen3": QWEN3}

BASE = {"vocab_size": 288}
SLIM = {"head_dim": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24}
# every input dimension is a multiple of 64, so that groups of 64 fit
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
# the same of one layer, and with groups of 128
SHALLOW = WIDE | {"num_hidden_layers": 1}
WIDER = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32, "num_hidden_layers": 1}
DOWN, UP, GATE = (f"model.layers.0.mlp.{name}_proj" for name in ("down", "up", "gate"))


def _without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


def _affine(bits, group_size, **more):
    return {"bits": bits, "group_size": group_size, **more}


def _rope(name, scaling, **config):
    return Spec(f"llama-rope-{name}", LLAMA | SLIM | {"rope_scaling": scaling} | config)


BASES = [Spec(name, config | BASE, cases=SHORT + LONG, base=True) for name, config in FAMILIES.items()]

DENSE = [
    Spec("llama-bf16", LLAMA, dtype="bfloat16"),
    Spec("llama-f16", LLAMA, dtype="float16"),
    Spec("mistral-bf16", MISTRAL, dtype="bfloat16"),
    Spec("qwen3-bf16", QWEN3, dtype="bfloat16"),
    Spec("qwen3-untied", QWEN3 | SLIM | {"tie_word_embeddings": False}),
    Spec("llama-sharded", LLAMA | SLIM, shards=2),
    Spec("llama-bias", LLAMA | {"attention_bias": True, "mlp_bias": True}),
    # tied as there is no output layer, as many kv heads as heads by default, and a tensor that sanitize drops
    Spec(
        "llama-defaults",
        _without(LLAMA, "tie_word_embeddings", "num_key_value_heads", "rope_theta"),
        dropped={"model.layers.0.self_attn.rotary_emb.inv_freq": (4,)},
    ),
]

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# long enough that both ends of the ramp lie between the first and the last frequency
YARN = {"factor": 4.0, "original_max_position_embeddings": 4096, "beta_fast": 8.0, "beta_slow": 1.0}
ROPE = [
    Spec("llama-rope-traditional", LLAMA | SLIM | {"rope_traditional": True}),
    _rope("linear", {"type": "linear", "factor": 4.0}),
    _rope("llama3", LLAMA3 | {"original_max_position_embeddings": 64}, rope_theta=500000.0),
    # the base moves once the sequence is longer than this, so chunks change the answer
    _rope("dynamic", {"type": "dynamic", "factor": 3.0}, max_position_embeddings=16),
    _rope("yarn", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}),
    Spec(
        "qwen3-rope-yarn",
        QWEN3 | SLIM | {"rope_scaling": YARN | {"type": "yarn", "mscale": 1.3, "mscale_all_dim": 0.4}},
    ),
    # transformers 5 nests both under rope_parameters
    Spec(
        "qwen3-rope-parameters",
        _without(QWEN3, "rope_theta", "rope_scaling")
        | SLIM
        | {"rope_parameters": YARN | {"rope_type": "yarn", "rope_theta": 30000.0}},
    ),
]

QUANTIZED = [
    Spec(
        "llama-4bit",
        LLAMA | WIDE | BASE | {"tie_word_embeddings": True},
        dtype="bfloat16",
        quantization=_affine(4, 64),
        cases=SHORT,
        base=True,
    ),
    Spec("llama-4bit-f32", LLAMA | SHALLOW, quantization=_affine(4, 64)),
    Spec("llama-4bit-f16", LLAMA | SHALLOW, dtype="float16", quantization=_affine(4, 32)),
    Spec("mistral-4bit", MISTRAL | SHALLOW, dtype="bfloat16", quantization=_affine(4, 64)),
    Spec("qwen3-4bit", QWEN3 | WIDE, dtype="bfloat16", quantization=_affine(4, 32)),
    Spec("llama-2bit", LLAMA | WIDER, dtype="bfloat16", quantization=_affine(2, 128)),
    Spec("llama-3bit", LLAMA | SHALLOW, dtype="bfloat16", quantization=_affine(3, 64)),
    Spec("llama-5bit", LLAMA | SHALLOW, dtype="bfloat16", quantization=_affine(5, 32)),
    Spec("qwen3-6bit", QWEN3 | SHALLOW, dtype="bfloat16", quantization=_affine(6, 64)),
    Spec("mistral-8bit", MISTRAL | SHALLOW, dtype="bfloat16", quantization=_affine(8, 32)),
    # `bias` (of the layer) beside `biases` (of the quantization)
    Spec(
        "llama-4bit-bias",
        LLAMA | SHALLOW | {"attention_bias": True, "mlp_bias": True},
        dtype="bfloat16",
        quantization=_affine(4, 64),
    ),
    Spec(
        "llama-4bit-mixed",
        LLAMA | WIDE,
        dtype="bfloat16",
        quantization=_affine(
            4,
            64,
            **{DOWN: False, UP: _affine(8, 32), GATE: _affine(3, 64), "lm_head": _affine(6, 32)},
            **{"model.embed_tokens": _affine(8, 64)},
        ),
    ),
    # bits and group size of two tensors must come from their shapes
    Spec(
        "qwen3-4bit-inferred",
        QWEN3 | WIDE,
        dtype="bfloat16",
        quantization=_affine(4, 64, **{DOWN: _affine(8, 32), "model.embed_tokens": _affine(6, 64)}),
        undeclared=(DOWN, "model.embed_tokens"),
    ),
    Spec("qwen3-4bit-sharded", QWEN3 | SHALLOW, dtype="bfloat16", quantization=_affine(4, 64), shards=2),
]

ALL = BASES + DENSE + ROPE + QUANTIZED
