# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that a port can make, for mutations.py: in a file, a text that occurs once, what stands there instead, and the
fixture that must notice."""

SHARED = [
    (
        "src/models/base.rs",
        "queries.lt(keys.add(Array::from_int(window))?)?",
        "queries.le(keys.add(Array::from_int(window))?)?",
        "llama-sliding-dense",
    ),
    ("src/models/base.rs", "let mask = queries.ge(&keys)?;", "let mask = queries.gt(&keys)?;", "llama-sliding-dense"),
    (
        "src/models/base.rs",
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
        "self.offset += axis(keys, 2)?;",
        "self.offset += axis(keys, 2)?; if self.offset > 30 { self.offset -= 1; }",
        "llama-gqa-dense",
    ),
    (
        "src/models/llama.rs",
        "RotatingKVCache::new(self.sliding_window, 0)",
        "RotatingKVCache::new(self.sliding_window - 1, 0)",
        "llama-sliding-dense",
    ),
    (
        "src/models/llama.rs",
        "self.mlp.forward(&self.post_attention_layernorm.forward(&h)?)?",
        "self.mlp.forward(&h)?",
        "llama",
    ),
    ("src/models/llama.rs", "swiglu(&gate, &up)?", "swiglu(&up, &gate)?", "llama"),
    (
        "src/models/qwen3.rs",
        "self.q_norm.forward(&split(&queries, self.n_heads)?)?",
        "split(&queries, self.n_heads)?",
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
    ("src/models/llama4_text.rs", "args.rope_theta, true)", "args.rope_theta, false)", "llama4_text-dense"),
    ("src/models/llama4_text.rs", "args.use_qk_norm.then(", "(!args.use_qk_norm).then(", "llama4_text-tied-dense"),
    ("src/models/llama4.rs", ".floor() + 1.0)", " + 1.0)", "llama4-dense"),
    ("src/models/llama4.rs", "(offset + 1..=end)", "(offset..end)", "llama4-dense"),
    ("src/models/llama4.rs", "(args.use_qk_norm && use_rope)", "args.use_qk_norm", "llama4-dense"),
    (
        "src/models/llama4.rs",
        "[\"gate_proj.weight\", \"up_proj.weight\"]",
        "[\"up_proj.weight\", \"gate_proj.weight\"]",
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
    (
        "src/models/mixtral.rs",
        "ops::softmax_axis(gates.take_along_axis(&inds, -1)?, -1, true)?",
        "ops::softmax_axis(&gates, -1, true)?.take_along_axis(&inds, -1)?",
        "mixtral-dense",
    ),
    (
        "src/models/mixtral.rs",
        "[(\"w1\", \"gate_proj\"), (\"w2\", \"down_proj\"), (\"w3\", \"up_proj\")]",
        "[(\"w3\", \"gate_proj\"), (\"w2\", \"down_proj\"), (\"w1\", \"up_proj\")]",
        "mixtral-raw",
    ),
    (
        "src/models/mixtral.rs",
        "top_k(&gates, self.num_experts_per_tok)",
        "top_k(&gates, self.num_experts_per_tok - 1)",
        "mixtral-4bit",
    ),
    (
        "src/models/ministral3.rs",
        "RotatingKVCache::new(self.sliding_window, 0)",
        "RotatingKVCache::new(self.sliding_window, 1)",
        "ministral3-dense",
    ),
    (
        "src/models/ministral3.rs",
        "self.max_position_embeddings).floor()",
        "self.max_position_embeddings).ceil()",
        "ministral3-dense",
    ),
    (
        "src/models/ministral3.rs",
        "queries = queries.multiply(attn_scale)?;",
        "queries = queries.multiply(attn_scale.square()?)?;",
        "mistral3-ministral3-dense",
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
        "src/models/qwen3_next/layers.rs",
        "let gate = mlx::slice_axis(&queries, -1, d, 2 * d)?",
        "let gate = mlx::slice_axis(&queries, -1, 0, d)?",
        "qwen3_next-dense",
    ),
    (
        "src/models/qwen3_next/layers.rs",
        "sigmoid_gate(&shared_gate, &self.shared_expert.forward(x)?)?",
        "self.shared_expert.forward(x)?",
        "qwen3_5_moe-dense",
    ),
    (
        "src/models/qwen3_next/sanitize.rs",
        "[(\"b\", take(0, groups)?), (\"a\", take(groups, of_head)?)]",
        "[(\"a\", take(0, groups)?), (\"b\", take(groups, of_head)?)]",
        "qwen3_next-4bit",
    ),
    (
        "src/models/qwen3_next/sanitize.rs",
        "mlx::scalar(1.0, array.dtype())",
        "mlx::scalar(0.9, array.dtype())",
        "qwen3_next-raw",
    ),
    ("src/models/qwen3_5.rs", "\"norm_topk_prob\": true", "\"norm_topk_prob\": false", "qwen3_5_moe-dense"),
    (
        "src/models/qwen3_next/args.rs",
        "[\"rope_theta\", \"partial_rotary_factor\"]",
        "[\"rope_theta\"]",
        "qwen3_5-dense",
    ),
    (
        "src/models/qwen3_5_moe.rs",
        "(half(0, both / 2)?, half(both / 2, both)?)",
        "(half(both / 2, both)?, half(0, both / 2)?)",
        "qwen3_5_moe-raw",
    ),
]
PHI = [
    ("src/models/phi.rs", "gelu_approx(&self.fc1", "crate::nn::activations::gelu(&self.fc1", "phi-dense"),
    ("src/models/phi.rs", "Rope::plain(rope_dims, ", "Rope::plain(head_dim, ", "phi-dense"),
    ("src/models/phi3.rs", "Some(\"longrope\" | \"su\")", "Some(\"su\")", "phi3-dense"),
    ("src/models/phi3.rs", "scaling.remove(\"long_mscale\");", "", "phi3-dense"),
    ("src/models/phi3.rs", "Some(\"linear\") =>", "Some(\"other\") =>", "phi3-linear-dense"),
    ("src/models/phimoe.rs", "mlx::scalar(2.0 * jitter_eps", "mlx::scalar(1.0 * jitter_eps", "phimoe-dense"),
    ("src/models/phimoe.rs", "ops::maximum(&magnitudes, &top)?", "&magnitudes", "phimoe-plain-dense"),
    (
        "src/models/phimoe.rs",
        "(\"w1\", \"gate_proj\"), (\"w2\", \"down_proj\"), (\"w3\", \"up_proj\")",
        "(\"w3\", \"gate_proj\"), (\"w2\", \"down_proj\"), (\"w1\", \"up_proj\")",
        "phimoe-raw",
    ),
]
GPT_OSS = [
    ("src/models/gpt_oss.rs", "mask, Some(&self.sinks)", "mask, None", "gpt_oss-dense"),
    ("src/models/gpt_oss.rs", "layer % 2 == 0", "layer % 2 == 1", "gpt_oss-alternating-dense"),
    ("src/models/gpt_oss.rs", "[\"gate_proj\", \"up_proj\"].map", "[\"up_proj\", \"gate_proj\"].map", "gpt_oss-raw"),
    (
        "src/models/gpt_oss.rs",
        "self.layers.iter().map(|layer| layer.use_sliding), self.window_size",
        "self.layers.iter().map(|layer| layer.use_sliding), self.window_size + 1",
        "gpt_oss-mxfp4",
    ),
    (
        "src/models/gpt_oss.rs",
        "RotatingKVCache::new(self.window_size, 0)",
        "RotatingKVCache::new(self.window_size - 1, 0)",
        "gpt_oss-mxfp4",
    ),
    ("src/models/gpt_oss.rs", "args.rope_scaling.as_ref(), None", "None, None", "gpt_oss-dense"),
    ("src/nn/activations.rs", "const LIMIT: f32 = 7.0;", "const LIMIT: f32 = 70.0;", "gpt_oss-mxfp4"),
    ("src/nn/activations.rs", "const ALPHA: f32 = 1.702;", "const ALPHA: f32 = 1.7;", "gpt_oss-dense"),
]
GEMMA = [
    ("src/models/gemma.rs", "(self.hidden_size as f32).sqrt()", "(self.hidden_size as f32)", "gemma-dense"),
    ("src/models/gemma.rs", "gelu(gate)?.multiply(x)?", "crate::nn::activations::geglu(gate, x)?", "gemma-dense"),
    (
        "src/models/gemma.rs",
        "w.rms_norm_plus_one(\"post_attention_layernorm\"",
        "w.rms_norm(\"post_attention_layernorm\"",
        "gemma-4bit",
    ),
    ("src/models/gemma2.rs", "scores = softcap(&scores, cap)?;", "let _ = cap;", "gemma2-dense"),
    ("src/models/gemma2.rs", "Some(cap) => softcap(&logits, cap),", "Some(_) => Ok(logits),", "gemma2-4bit"),
    (
        "src/models/gemma2.rs",
        "let h = x.add(self.post_attention_layernorm.forward(&r)?)?;",
        "let h = x.add(&r)?;",
        "gemma2-dense",
    ),
    (
        "src/models/gemma2.rs",
        "scale: args.query_pre_attn_scalar().powf(-0.5)",
        "scale: (head_dim as f32).powf(-0.5)",
        "gemma2-dense",
    ),
    (
        "src/models/gemma3_text.rs",
        "(layer + 1) % self.sliding_window_pattern",
        "layer % self.sliding_window_pattern",
        "gemma3_text-dense",
    ),
    (
        "src/models/gemma3_text.rs",
        "window_size: args.sliding_window,",
        "window_size: args.sliding_window + 1,",
        "gemma3_text-4bit",
    ),
    (
        "src/models/gemma3_text.rs",
        "bf16::from_f32((dim as f32).sqrt()).to_f32()",
        "(dim as f32).sqrt()",
        "gemma3_text-dense",
    ),
    (
        "src/models/gemma3_text.rs",
        "q_norm: w.rms_norm_plus_one(\"q_norm\"",
        "q_norm: w.rms_norm(\"q_norm\"",
        "gemma3_text-dense",
    ),
    (
        "src/models/gemma3_text.rs",
        "Rope::new(self.head_dim, base, false, scaling.or(nested)",
        "Rope::new(self.head_dim, base, false, nested",
        "gemma3-dense",
    ),
    (
        "src/models/gemma3n/altup.rs",
        "coefs.add(mlx::scalar(1.0, coefs.dtype())?)?",
        "coefs.add(mlx::scalar(0.9, coefs.dtype())?)?",
        "gemma3n-dense",
    ),
    (
        "src/models/gemma3n/altup.rs",
        "ops::clip(&weight, (-clip, clip))",
        "ops::clip(&weight, (-1.1 * clip, 1.1 * clip))",
        "gemma3n-dense",
    ),
    (
        "src/models/gemma3n/mod.rs",
        "ops::std_axis(&gate, -1, true, None)?",
        "ops::std_axis(&gate, -1, true, Some(1))?",
        "gemma3n-dense",
    ),
    (
        "src/models/gemma3n/mod.rs",
        "self.per_layer.forward(&self.altup.scaled_active(&corrected)?, per_layer_input)?",
        "self.per_layer.forward(&self.altup.active(&corrected)?, per_layer_input)?",
        "gemma3n-dense",
    ),
    (
        "src/models/gemma4_text/per_layer.rs",
        "ops::select(known, tokens, mlx::scalar_like(0, tokens)?)?",
        "ops::select(known, tokens, mlx::scalar_like(1, tokens)?)?",
        "gemma3n-dense",
    ),
    (
        "src/models/gemma4_text/attention.rs",
        "let queries = self.rope.forward(&heads_first(&queries)?, offset)?;",
        "let offset = if self.has_kv() { offset } else { offset + l };\n        let queries = self.rope.forward(&heads_first(&queries)?, offset)?;",
        "gemma4_text-dense",
    ),
    ("src/models/gemma4_text/mod.rs", "Ok(h.multiply(&self.layer_scalar)?)", "Ok(h)", "gemma4_text-dense"),
    (
        "src/models/gemma4_text/mod.rs",
        "let masks = MixedMasks::new(&h, cache, sliding, self.window_size)?;",
        "let masks = MixedMasks::new(&h, cache, sliding, self.window_size + 1)?;",
        "gemma4_text-dense",
    ),
    (
        "src/models/gemma4_text/mod.rs",
        "\"partial_rotary_factor\": 0.25, \"rope_theta\": 1e6",
        "\"partial_rotary_factor\": 0.5, \"rope_theta\": 1e6",
        "gemma4_text-moe-dense",
    ),
    (
        "src/models/gemma4_text/feed_forward.rs",
        "let weights = weights.multiply(self.per_expert_scale.take_axis(&indices, 0)?)?;",
        "",
        "gemma4_text-moe-dense",
    ),
    (
        "src/models/gemma4_text/feed_forward.rs",
        "self.router.forward(h)?",
        "self.router.forward(&self.pre_feedforward_layernorm_2.forward(h)?)?",
        "gemma4_text-moe-dense",
    ),
    (
        "src/models/gemma4_text/mod.rs",
        "[\"gate_proj\", \"up_proj\"].map",
        "[\"up_proj\", \"gate_proj\"].map",
        "gemma4-raw",
    ),
]

ALL = [*SHARED, *LLAMA, *MISTRAL, *QWEN, *PHI, *GPT_OSS, *GEMMA]
