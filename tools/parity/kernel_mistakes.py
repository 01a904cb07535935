# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes in the CPU's kernels and in their choice; see mistakes.py."""

from cpu import cpu_flags

KERNELS = [
    ("kernels/src/code.rs", "2.0, 3.0, 4.0, 6.0]", "2.0, 3.0, 4.0, 5.0]", "llama-gqa-mxfp4"),
    ("kernels/src/code.rs", "simd.splat_bits(120 << 23)", "simd.splat_bits(121 << 23)", "llama-gqa-mxfp8"),
    ("kernels/src/code.rs", "(units.high, bit - 8)", "(units.high, bit - 7)", "llama-5bit"),
    ("kernels/src/code.rs", "if bit + BITS < 32 { bit } else { 0 }", "bit", "llama-4bit"),
    ("kernels/src/matrix.rs", "if byte == 0 { 1 << 22 } else", "if byte < 128 { 1 << 22 } else", "llama-gqa-mxfp4"),
    (
        "kernels/src/matmul/few.rs",
        "*sum = group.iter().sum();",
        "*sum = group.iter().skip(1).sum();",
        "llama-4bit",
    ),
    (
        "kernels/src/matmul/few.rs",
        "((lane * C::VALUES) >> matrix.group_shift())",
        "((lane * C::VALUES) >> (matrix.group_shift() + 1))",
        "llama-gqa-nvfp4",
    ),
    ("kernels/src/matmul/panel.rs", "if matrix.is_biased() {", "if !matrix.is_biased() {", "llama-4bit"),
    (
        "kernels/src/matmul/panel.rs",
        "let rows = count.saturating_sub(start).min(S::LANES);",
        "let rows = count.saturating_sub(start).min(S::LANES - 1);",
        "llama",
    ),
    ("kernels/src/matmul/mod.rs", "matrix: which[rows[0]],", "matrix: which[0],", "mixtral-4bit"),
    (
        "kernels/src/ops/attention/mod.rs",
        "if seen == 0 { f32::MIN }",
        "if seen != 0 { f32::MIN }",
        "llama-sliding-dense",
    ),
    ("kernels/src/ops/attention/mod.rs", "seen - length + token + 1", "length + token + 1 - seen", "llama-gqa-dense"),
    (
        "kernels/src/ops/attention/mod.rs",
        "self.kv_head * self.shared + query % self.shared",
        "self.kv_head + query % self.shared",
        "llama-gqa-dense",
    ),
    (
        "kernels/src/ops/attention/lanes.rs",
        "*sink = sinks[self.place(query_of(lane)).0];",
        "*sink = sinks[0];",
        "gpt_oss-dense",
    ),
    ("kernels/src/ops/attention/few.rs", "simd.sum(sum) + sink", "simd.sum(sum)", "gpt_oss-dense"),
    ("kernels/src/ops/attention/few.rs", "weights[i * stride + key]);", "weights[key]);", "llama-gqa-dense"),
    ("kernels/src/ops/norm.rs", "sum / x.len() as f32", "sum / (x.len() - 1) as f32", "llama"),
    (
        "kernels/src/ops/rope.rs",
        "(pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos)",
        "(pair[0], pair[1]) = (a * cos - b * sin, a * sin - b * cos)",
        "llama-rope-traditional",
    ),
    ("kernels/src/ops/rope.rs", "let at = row % length * pairs;", "let at = (row + 1) % length * pairs;", "llama"),
    ("kernels/src/ops/activation.rs", "simd.splat(1.702)", "simd.splat(1.7)", "gpt_oss-dense"),
    ("kernels/src/ops/activation.rs", "simd.splat(0.044_715)", "simd.splat(0.05)", "gemma3-dense"),
    (
        "src/mlx/products.rs",
        "(QuantizationMode::Nvfp4, Dtype::Uint8) => Floats::E4m3",
        "(QuantizationMode::Nvfp4, Dtype::Uint8) => Floats::E8m0",
        "llama-gqa-nvfp4",
    ),
    ("src/mlx/transformer.rs", "both.columns(0..half)", "both.columns(1..half + 1)", "llama"),
    ("src/models/common/attention.rs", "[q.parts(), k.parts()]", "[k.parts(), q.parts()]", "qwen3_vl-dense"),
    ("src/models/common/attention.rs", "(q + kv) * dims, width", "q * dims, width - kv * dims", "qwen3_vl-dense"),
    (
        "kernels/src/tensor.rs",
        "strides: [of_b, dims, of_length]",
        "strides: [of_b, of_length, dims]",
        "llama-gqa-dense",
    ),
    ("src/mlx/transformer.rs", "x, norm, i64::from(offset), y)", "x, norm, 0, y)", "llama"),
]

BYTES = [
    ("kernels/src/code.rs", "steps * byte + step", "4 * step + byte", "llama-4bit"),
    ("kernels/src/code.rs", "simd.shr(word, bit - to)", "simd.shr(word, bit - to + 1)", "llama-3bit"),
    ("kernels/src/code.rs", "simd.shl(word, to - bit)", "simd.shl(word, to - bit + 1)", "llama-5bit"),
    ("kernels/src/matmul/digits.rs", "simd.add_bits(upper, half)", "upper", "llama-4bit"),
    ("kernels/src/matmul/many_bytes.rs", "simd.shl(middle, 8)", "simd.shl(middle, 7)", "llama-gqa-8bit"),
    ("kernels/src/matmul/many_bytes.rs", "f32::from_bits(x_scales[row])", "f32::from_bits(x_scales[0])", "llama-4bit"),
    ("kernels/src/matmul/many_bytes.rs", "f32::from_bits(x_sums[row])", "f32::from_bits(x_sums[0])", "llama-4bit"),
]
# Other processors do not run what these are in.
if "avx512_vnni" in cpu_flags():
    KERNELS += BYTES
