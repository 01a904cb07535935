# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""What a case of the second oracle is, and the values that most of them share."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One folder of __test__/transformers, named as the case."""

    name: str
    model_type: str
    # arguments of transformers' config class
    config: dict
    # What must matter: {feature: what switches it off}. A dict changes config.json ({dotted key: value}), a regular
    # expression sets the tensors to zero whose names it finds.
    features: dict = field(default_factory=dict)
    # the embedding's standard deviation, and around which number the weight of the last norm lies
    embedding: float = 0.3
    last_norm: float | None = None
    dtype: str = "bfloat16"
    # "hub" for the names and layouts that transformers 4 and the Hub have, "native" for those of transformers 5
    layout: str = "hub"
    # a regular expression for names of tensors of which the last two dimensions are swapped in the file
    swapped: str | None = None
    # the largest weight file, where there shall be several
    shard_size: str | None = None
    # rows that the embedding is padded to a multiple of
    padding: int | None = None
    # what is changed in config.json afterwards ({dotted key: value}), for what transformers reads but does not write
    edited: dict = field(default_factory=dict)
    # whether an older transformers wrote another config.json, what it had beside ({dotted key: value}), and which keys
    # it lacked
    older: bool = True
    older_extra: dict = field(default_factory=dict)
    older_lacks: tuple = ()
    # whether keys in the cache stay as they were rotated, so that a fresh run over the whole text gives other numbers
    stale_keys: bool = False


VOCAB = 128
# The epsilon is of the order of the squares it is added to; head_dim is no quotient of the others.
TEXT = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "rms_norm_eps": 0.005,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
# for models whose head_dim is hidden_size / num_attention_heads
QUOTIENT = {key: value for key, value in TEXT.items() if key != "head_dim"} | {
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
SLIDING, FULL = "sliding_attention", "full_attention"


def rope(kind="default", theta=500.0, **more):
    """`rope_parameters`. So low a theta turns every pair within the prompt."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **more}}


def theta_off(default=10000.0, prefix=""):
    """The feature that rope_theta is read."""
    return {"rope_theta": {f"{prefix}rope_parameters.rope_theta": default}}


def tie_off(prefix=""):
    return {"tied": {f"{prefix}tie_word_embeddings": False}}


def plain(theta=500.0, **more):
    """Switches RoPE's scaling off."""
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta, **more}}


def window_off(key="sliding_window", wider=9, prefix=""):
    """Switches an attention window of 8 off, and makes it one longer."""
    return {"window": {f"{prefix}{key}": 64}, "length of the window": {f"{prefix}{key}": wider}}
