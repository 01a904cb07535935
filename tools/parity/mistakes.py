# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that a port can make, for mutations.py: a text that occurs once in a file, and what stands there instead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    what: str
    file: str
    old: str
    new: str
    # the fixture that must notice
    fixture: str


SHARED = [
    Mistake(
        "a window one too wide",
        "src/models/base.rs",
        "queries.lt(keys.add(Array::from_int(window))?)?",
        "queries.le(keys.add(Array::from_int(window))?)?",
        "llama-sliding-dense",
    ),
    Mistake(
        "the causal mask misses the token itself",
        "src/models/base.rs",
        "let mask = queries.ge(&keys)?;",
        "let mask = queries.gt(&keys)?;",
        "llama-sliding-dense",
    ),
    Mistake(
        "quantized attention without its scale",
        "src/models/base.rs",
        "queries.multiply(mlx::scalar(scale, queries.dtype())?)?",
        "queries.multiply(mlx::scalar(1.0, queries.dtype())?)?",
        "llama-gqa-dense",
    ),
    Mistake(
        "a rotating cache wraps to the wrong place",
        "src/cache/rotating.rs",
        "self.index = self.keep;",
        "self.index = self.keep + 1;",
        "llama-sliding-dense",
    ),
    Mistake(
        "a rotating cache in the order of writing",
        "src/cache/rotating.rs",
        "part(self.index, length)?, part(self.keep, self.index)?",
        "part(self.keep, self.index)?, part(self.index, length)?",
        "llama-sliding-dense",
    ),
    Mistake(
        "a cache's position off by one",
        "src/cache/kv.rs",
        "fn offset(&self) -> i32 {\n        self.offset\n",
        "fn offset(&self) -> i32 {\n        self.offset + i32::from(self.offset > 0)\n",
        "qwen3",
    ),
    Mistake(
        "a quantized cache forgets its last token",
        "src/cache/quantized.rs",
        "self.offset += axis(keys, 2)?;",
        "self.offset += axis(keys, 2)?; if self.offset > 30 { self.offset -= 1; }",
        "llama-gqa-dense",
    ),
    Mistake(
        "a Llama window one too short",
        "src/models/llama.rs",
        "RotatingKVCache::new(self.sliding_window, 0)",
        "RotatingKVCache::new(self.sliding_window - 1, 0)",
        "llama-sliding-dense",
    ),
    Mistake(
        "Llama without the norm before its MLP",
        "src/models/llama.rs",
        "self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?",
        "self.mlp.forward(&h)?",
        "llama",
    ),
    Mistake(
        "gate and up exchanged",
        "src/models/llama.rs",
        "swiglu(&gate, &up)?",
        "swiglu(&up, &gate)?",
        "llama",
    ),
    Mistake(
        "queries of Qwen3 not normalized",
        "src/models/qwen3.rs",
        "self.q_norm.forward(&split(&queries, self.n_heads)?)?",
        "split(&queries, self.n_heads)?",
        "qwen3",
    ),
    Mistake(
        "YaRN's ramp inverted",
        "src/nn/rope.rs",
        "let mask = 1.0 - ((pair as f32 - low) / width).clamp(0.0, 1.0);",
        "let mask = ((pair as f32 - low) / width).clamp(0.0, 1.0);",
        "llama-rope-yarn",
    ),
]

ALL = SHARED
