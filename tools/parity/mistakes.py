# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that a port can make, for mutations.py: in a file, a text that occurs once, what stands there instead, and
the fixture that must notice, after `transformers:` one that transformers made; or `test:` and the names of unit tests
that must."""

from adapter_mistakes import ADAPTERS
from format_mistakes import FORMATS
from gemma_mistakes import GEMMA
from kernel_mistakes import KERNELS
from maker_mistakes import MAKERS
from parser_mistakes import PARSERS

SHARED = [
    (
        "src/attention/mask.rs",
        "queries.lt(keys.add(Array::from_int(window))?)?",
        "queries.le(keys.add(Array::from_int(window))?)?",
        "llama-sliding-dense",
    ),
    (
        "src/attention/mask.rs",
        "let mask = queries.ge(&keys)?;",
        "let mask = queries.gt(&keys)?;",
        "llama-sliding-dense",
    ),
    (
        "src/attention/sdpa.rs",
        "queries.multiply(mlx::scalar(scale, queries.dtype())?)?",
        "queries.multiply(mlx::scalar(1.0, queries.dtype())?)?",
        "llama-gqa-dense",
    ),
    ("src/cache/rotating.rs", "self.index = self.keep;", "self.index = self.keep + 1;", "llama-sliding-dense"),
    (
        "src/cache/rotating.rs",
        "part(self.index, length)?, part(self.keep, self.index)?",
        "part(self.keep, self.index)?, part(self.index, length)?",
        "llama-sliding-dense",
    ),
    (
        "src/cache/kv.rs",
        "fn offset(&self) -> i32 {\n        self.offset\n",
        "fn offset(&self) -> i32 {\n        self.offset + i32::from(self.offset > 0)\n",
        "qwen3",
    ),
    (
        "src/cache/quantized.rs",
        "self.offset += length(keys)?;",
        "self.offset += length(keys)?; if self.offset > 30 { self.offset -= 1; }",
        "llama-gqa-dense",
    ),
    (
        "src/models/common/mod.rs",
        "RotatingKVCache::new(window, 0)",
        "RotatingKVCache::new(window - 1, 0)",
        "llama-sliding-dense",
    ),
    (
        "src/models/common/block.rs",
        "self.feed_forward.forward_residual(&h, &self.post_attention_layernorm)",
        "Ok(h.add(self.feed_forward.forward(&h)?)?)",
        "llama",
    ),
    (
        "src/nn/activations.rs",
        "let [gate, x] = split(both, &[half], -1)?;",
        "let [x, gate] = split(both, &[half], -1)?;",
        "llama",
    ),
    (
        "src/models/common/attention.rs",
        "(q_norm.forward(&queries)?, k_norm.forward(&keys)?)",
        "(queries, k_norm.forward(&keys)?)",
        "qwen3",
    ),
    (
        "src/nn/rope.rs",
        "let mask = 1.0 - ((pair as f32 - low) / width).clamp(0.0, 1.0);",
        "let mask = ((pair as f32 - low) / width).clamp(0.0, 1.0);",
        "llama-rope-yarn",
    ),
]
LLAMA = [
    ("src/models/smollm3.rs", "(i + 1) % args", "i % args", "smollm3-dense"),
    ("src/models/smollm3.rs", "*use_rope != 0", "*use_rope == 0", "smollm3-list-dense"),
    ("src/models/llama4.rs", "traditional: true", "traditional: false", "llama4_text-dense"),
    ("src/models/llama4.rs", ".floor() + 1.0)", " + 1.0)", "llama4-dense"),
    ("src/models/llama4.rs", "(offset + 1..=end)", "(offset..end)", "llama4-dense"),
    ("src/models/llama4.rs", "(args.use_qk_norm && rope.is_some())", "args.use_qk_norm", "llama4-dense"),
    ("src/models/llama4.rs", "*has_rope != 0,", "*has_rope == 0,", "llama4_text-tied-dense"),
    (
        "src/models/llama4.rs",
        '["gate_proj.weight", "up_proj.weight"]',
        '["up_proj.weight", "gate_proj.weight"]',
        "llama4-raw",
    ),
    (
        "src/cache/chunked.rs",
        "Array::from_int(self.chunk_size)",
        "Array::from_int(self.chunk_size + 1)",
        "llama4-dense",
    ),
    ("src/cache/chunked.rs", "same_chunk.logical_and(keys.le(&queries)?)?", "same_chunk", "llama4-dense"),
]
MISTRAL = [
    ("src/models/mixtral.rs", "norm_topk_prob: true", "norm_topk_prob: false", "mixtral-dense"),
    (
        "src/models/mixtral.rs",
        '[("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")]',
        '[("w3", "gate_proj"), ("w2", "down_proj"), ("w1", "up_proj")]',
        "mixtral-raw",
    ),
    ("src/models/mixtral.rs", "top_k: args.num_experts_per_tok", "top_k: args.num_experts_per_tok - 1", "mixtral-4bit"),
    ("src/models/config.rs", "is_sliding.then_some(size)", "is_sliding.then_some(size - 1)", "ministral3-dense"),
    (
        "src/models/ministral3.rs",
        "self.max_position_embeddings).floor()",
        "self.max_position_embeddings).ceil()",
        "ministral3-dense",
    ),
    (
        "src/models/common/attention.rs",
        "queries = queries.multiply(scale)?;",
        "queries = queries.multiply(scale.square()?)?;",
        "mistral3-ministral3-dense",
    ),
    (
        "src/models/mistral4/mod.rs",
        "scale.of(length, offset, dtype)",
        "scale.of(length, offset + 1, dtype)",
        "mistral4-dense",
    ),
    (
        "src/models/mistral4/mod.rs",
        "(q_nope.multiply(attn_scale)?, q_rope.multiply(attn_scale)?)",
        "(q_nope, q_rope.multiply(attn_scale)?)",
        "mistral4-dense",
    ),
    ("src/models/mistral4/mod.rs", "per_group - 2, per_group", "per_group - 1, per_group", "mistral4-dense"),
    (
        "src/models/mistral4/mod.rs",
        "self.rope_interleave.unwrap_or(true)",
        "!self.rope_interleave.unwrap_or(true)",
        "mistral4-plain-dense",
    ),
    ("src/nn/rope.rs", "f64::from(scale) * magnitude * magnitude", "f64::from(scale) * magnitude", "mistral4-4bit"),
    (
        "src/models/mistral4/sanitize.rs",
        "mlx::slice_axis(&gate_up, 1, 0, half)",
        "mlx::slice_axis(&gate_up, 1, half, 2 * half)",
        "mistral4-raw",
    ),
    ("src/weights/sanitize.rs", "mlx::scalar(-8.0,", "mlx::scalar(-7.0,", "mistral3-mistral4-raw"),
    ("src/weights/sanitize.rs", "scale.clone(), BLOCK, 0)", "scale.clone(), BLOCK, 0)?.square()", "mistral4-plain-raw"),
]
QWEN = [
    (
        "src/models/qwen2.rs",
        "Rotary::new(head_dim, 1_000_000.0)",
        "Rotary::new(head_dim, 10_000.0)",
        "qwen2-tied-dense",
    ),
    (
        "src/models/rotary.rs",
        "scaling.as_ref(), max_position_embeddings)?",
        "None, max_position_embeddings)?",
        "qwen2-dense",
    ),
    ("src/models/rotary.rs", "given.rope_traditional.unwrap_or(self.traditional)", "self.traditional", "qwen2-4bit"),
    (
        "src/models/common/feed_forward.rs",
        "sigmoid_gate(&shared_gate, &self.shared_expert.forward(x)?)?",
        "shared_gate.multiply(self.shared_expert.forward(x)?)?",
        "qwen2_moe-dense",
    ),
    (
        "src/models/common/feed_forward.rs",
        "let gates = softmax_axis(gates, -1, true)?;",
        "let gates = softmax_axis(gates, 1, true)?;",
        "qwen2_moe-4bit",
    ),
    (
        "src/models/qwen2_moe.rs",
        "top_k: args.num_experts_per_tok",
        "top_k: args.num_experts_per_tok - 1",
        "qwen2_moe-dense",
    ),
    (
        "src/models/qwen2_moe.rs",
        '["gate_proj", "up_proj", "down_proj"].map(|name| (name, name))',
        '[("gate_proj", "up_proj"), ("up_proj", "gate_proj"), ("down_proj", "down_proj")]',
        "qwen2_moe-raw",
    ),
    ("src/models/qwen2_moe.rs", "eps: args.rms_norm_eps", "eps: args.rms_norm_eps * 1.5", "qwen2_moe-dense"),
    ("src/models/common/attention.rs", "k_norm.forward(&keys)?", "q_norm.forward(&keys)?", "qwen3_vl-dense"),
    (
        "src/models/common/attention.rs",
        "(args.head_dim as f32).powf(-0.5)",
        "(args.head_dim as f32).powf(-0.49)",
        "qwen3-heads-dense",
    ),
    (
        "src/models/qwen3_moe.rs",
        "norm_topk_prob: args.norm_topk_prob",
        "norm_topk_prob: !args.norm_topk_prob",
        "qwen3_moe-4bit",
    ),
    (
        "src/models/rotary.rs",
        'config::check_positive("rope_theta", theta)?;',
        "let theta = theta / 4.0;",
        "qwen3_moe-dense",
    ),
    (
        "src/models/qwen3_vl_moe.rs",
        "mlx::slice_axis(array, -1, columns / 2, columns)?",
        "mlx::slice_axis(array, -1, 0, columns / 2)?",
        "qwen3_vl_moe-raw",
    ),
    (
        "src/cache/rotating.rs",
        "Ok(vec![mlx::slice_axis(buffer, 2, 0, self.keep)?, mlx::slice_axis(buffer, 2, count + self.keep, length)?])",
        "Ok(vec![mlx::slice_axis(buffer, 2, count, count + self.keep)?, mlx::slice_axis(buffer, 2, count + self.keep, length)?])",
        "qwen3-heads-dense",
    ),
    ("src/models/gated_delta.rs", "state.multiply(decay)?.add(", "state.add(", "qwen3_next-dense"),
    ("src/models/gated_delta.rs", "q: norm(inv_scale * inv_scale)?", "q: norm(inv_scale)?", "qwen3_5-dense"),
    ("src/models/gated_delta.rs", "last.subtract(&log_gamma)?.exp()?", "log_gamma.exp()?", "qwen3_5-dense"),
    ("src/models/gated_delta.rs", ".matmul(&upper)?.negative()?", ".matmul(&upper)?", "qwen3_next-dense"),
    ("src/nn/conv.rs", "shifted.iter().zip(taps)", "shifted.iter().zip(taps.iter().rev())", "qwen3_next-4bit"),
    (
        "src/models/qwen3_next/layers.rs",
        "mlx::slice_axis(&conv_input, 1, s, s + keep)?",
        "mlx::slice_axis(&conv_input, 1, 0, keep)?",
        "qwen3_5-4bit",
    ),
    (
        "src/nn/conv.rs",
        "silu(&products.sum_axis(1, true)?)",
        "silu(&products.sum_axis(1, true)?.abs()?)",
        "qwen3_5-4bit",
    ),
    ("src/models/qwen3_next/layers.rs", "let [queries, gate] = mlx", "let [gate, queries] = mlx", "qwen3_next-dense"),
    (
        "src/models/common/feed_forward.rs",
        "sigmoid_gate(&shared_gate, &self.shared_expert.forward(x)?)?",
        "self.shared_expert.forward(x)?",
        "qwen3_5_moe-dense",
    ),
    (
        "src/models/qwen3_next/sanitize.rs",
        '[("b", take(0, groups)?), ("a", take(groups, of_head)?)]',
        '[("a", take(0, groups)?), ("b", take(groups, of_head)?)]',
        "qwen3_next-4bit",
    ),
    ("src/models/qwen3_next/sanitize.rs", "mlx::scalar(1.0,", "mlx::scalar(0.9,", "qwen3_next-raw"),
    ("src/models/qwen3_5.rs", '"norm_topk_prob": true', '"norm_topk_prob": false', "qwen3_5_moe-dense"),
    ("src/models/normalize.rs", '["rope_theta", "partial_rotary_factor"]', '["rope_theta"]', "qwen3_5-dense"),
    (
        "src/weights/sanitize.rs",
        '[("gate_proj", 0, both / 2), ("up_proj", both / 2, both)]',
        '[("gate_proj", both / 2, both), ("up_proj", 0, both / 2)]',
        "qwen3_5_moe-raw",
    ),
]
PHI = [
    ("src/models/phi.rs", "gelu_approx(&self.fc1", "crate::nn::activations::silu(&self.fc1", "phi-dense"),
    ("src/models/rotary.rs", "config::rotary_dims(self.head_dim, share)?", "self.head_dim", "phi-dense"),
    ("src/models/phi.rs", "self.mlp.forward(&h)?", "self.mlp.forward(x)?", "phi-dense"),
    (
        "src/models/common/attention.rs",
        "let [mut queries, mut keys, values] = match (joined, qk_norm)",
        "let [mut queries, values, mut keys] = match (joined, qk_norm)",
        "phi3-dense",
    ),
    (
        "src/nn/rope.rs",
        "long_rope(dims, base, &scaling, [factors, mscale], magnitude)",
        "long_rope(dims, base, &scaling, [factors, mscale], 1.0)",
        "phi3-dense",
    ),
    ("src/nn/rope.rs", "feature < self.dims", "feature >= self.dims", "phi3-4bit"),
    ("src/models/rotary.rs", "self.has_mscales || ", "true || ", "phi3-dense"),
    ("src/nn/rope.rs", "scale: (1.0 / scaling.positive", "scale: (2.0 / scaling.positive", "phi3-linear-dense"),
    ("src/models/phimoe.rs", "mlx::scalar(2.0 * jitter_eps", "mlx::scalar(1.0 * jitter_eps", "phimoe-dense"),
    ("src/models/phimoe.rs", "ops::maximum(&magnitudes, &top)?", "&magnitudes", "phimoe-plain-dense"),
    (
        "src/models/phimoe.rs",
        '("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")',
        '("w3", "gate_proj"), ("w2", "down_proj"), ("w1", "up_proj")',
        "phimoe-raw",
    ),
]
GPT_OSS = [
    (
        "src/models/gpt_oss.rs",
        'sinks: Some(at.tensor("sinks", &[args.num_attention_heads])?)',
        'sinks: at.tensor("sinks", &[args.num_attention_heads]).map(|_| None)?',
        "gpt_oss-dense",
    ),
    ("src/models/gpt_oss.rs", "layer % 2 == 0", "layer % 2 == 1", "gpt_oss-alternating-dense"),
    ("src/models/gpt_oss.rs", '["gate_proj", "up_proj"].map', '["up_proj", "gate_proj"].map', "gpt_oss-raw"),
    (
        "src/models/base.rs",
        "(cache.as_ref(), window)",
        "(cache.as_ref(), window.map(|window| window + 1))",
        "gpt_oss-mxfp4",
    ),
    (
        "src/models/gpt_oss.rs",
        "args.sliding_window.filter(|_| sliding)",
        "args.sliding_window.filter(|_| sliding).map(|window| window - 1)",
        "gpt_oss-mxfp4",
    ),
    ("src/nn/rope.rs", "(low.floor(), high.ceil())", "(low, high)", "gpt_oss-dense"),
    ("src/nn/activations.rs", "const LIMIT: f32 = 7.0;", "const LIMIT: f32 = 70.0;", "gpt_oss-mxfp4"),
    ("src/nn/activations.rs", "const ALPHA: f32 = 1.702;", "const ALPHA: f32 = 1.7;", "gpt_oss-dense"),
]
ALL = [*SHARED, *LLAMA, *MISTRAL, *QWEN, *PHI, *GPT_OSS, *GEMMA, *FORMATS, *ADAPTERS, *KERNELS, *PARSERS, *MAKERS]
