# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that can be made with what adapters.py makes; see mistakes.py."""

ADAPTERS = [
    ("src/nn/adapter.rs", "scaled(z, self.scale)?", "scaled(z, 1.0)?", "llama-4bit-lora"),
    ("src/nn/linear.rs", "part.adapter.is_some()", "false && part.adapter.is_some()", "llama-4bit-lora"),
    ("src/nn/adapter.rs", "Ok(m.divide(lengths)?)", "Ok(lengths.divide(&lengths)?.multiply(m)?)", "llama-dora"),
    ("src/nn/adapter.rs", "self.row_scales.is_some()", "false", "llama-dora"),
    ("src/nn/adapter.rs", "dense_or_dequantized()?.add(update)?", "dense_or_dequantized()?", "llama-4bit-dora"),
    ("src/nn/adapter.rs", "scaled(&b.transpose()?, scale)?", "b.transpose()?", "llama-4bit-dora"),
    (
        "src/nn/switch_layers.rs",
        "Some(adapter) => adapter.experts(x, &y, indices, sorted)",
        "Some(adapter) => adapter.experts(x, &y, &indices.multiply(mlx::scalar_like(0, indices)?)?, sorted)",
        "qwen3_moe-4bit-lora",
    ),
    (
        "src/nn/embedding.rs",
        "Some(adapter) => adapter.rows(ids, &rows)",
        "Some(_) => Ok(rows)",
        "llama-4bit-embedding-lora",
    ),
    (
        "src/nn/embedding.rs",
        "Some(adapter) => adapter.embedding_as_linear(x, &y)",
        "Some(_) => Ok(y)",
        "llama-4bit-embedding-lora",
    ),
    ("src/nn/adapter.rs", "scaled(&a, scale)?", "(&a)", "llama-embedding-dora"),
    (
        "src/nn/adapter.rs",
        "row_scales.take_axis(ids, 0)?",
        "row_scales.take_axis(ids.multiply(mlx::scalar_like(0, ids)?)?, 0)?",
        "llama-embedding-dora",
    ),
    ("src/nn/adapter.rs", "sum.multiply(row_scales)?", "sum", "llama-embedding-dora"),
    ("src/weights/adapter.rs", "{ self.remove(key) } else", "{ self.remove(key).and(None) } else", "llama-full"),
]
