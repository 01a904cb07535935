# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that can be made with what formats.py stores; see mistakes.py."""

FORMATS = [
    (
        "src/weights/awq.rs",
        "[u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7]",
        "[u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7]",
        "llama-awq",
    ),
    (
        "src/weights/awq.rs",
        "Some(qzeros) => unpack(&qzeros)?.transpose()?.as_dtype(Dtype::Float32)?.negative()?,",
        "Some(_) => Array::from_f32(-MIDDLE),",
        "llama-awq",
    ),
    ("src/weights/awq.rs", "const MIDDLE: f32 = 8.0;", "const MIDDLE: f32 = 7.5;", "llama-gptq"),
    ("src/weights/awq.rs", "&pairs, 1, index, index + 1", "&pairs, 1, 1 - index, 2 - index", "llama-gptq"),
    ("src/weights/awq.rs", "&[1, 4, 2, 3, 0]", "&[1, 3, 2, 4, 0]", "llama-awq"),
    ("src/nn/switch_layers.rs", "f32 = 448.0 * 6.0", "f32 = 440.0 * 6.0", "qwen3_moe-nvfp4-global"),
    (
        "src/weights/sanitize.rs",
        "weight.dtype() == Dtype::Uint8 { weight.from_fp8(Dtype::Bfloat16)? }",
        "weight.dtype() == Dtype::Uint8 { weight.as_dtype(Dtype::Bfloat16)? }",
        "mistral4-plain-raw",
    ),
]
