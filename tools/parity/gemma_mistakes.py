# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes in Gemma's files, for mistakes.py."""

GEMMA = [
    ("src/models/gemma.rs", "(dim as f32).sqrt()", "(dim as f32)", "gemma-dense"),
    ("src/models/gemma.rs", "size, Activation::Geglu,", "size, Activation::Swiglu,", "gemma-dense"),
    ("src/models/gemma.rs", "w.rms_norm_plus_one(name, dim, eps)", "w.rms_norm(name, dim, eps)", "gemma-4bit"),
    ("src/models/gemma2.rs", "scores = softcap(&scores, cap)?;", "let _ = cap;", "gemma2-dense"),
    ("src/models/gemma2.rs", "decoder.final_logit_softcapping = args.final_logit_softcapping;", "", "gemma2-4bit"),
    (
        "src/models/common/block.rs",
        "(self.add)(x, &self.post_attention_layernorm.forward(&r)?)?",
        "(self.add)(x, &r)?",
        "gemma2-dense",
    ),
    (
        "src/models/gemma2.rs",
        "scale: args.query_pre_attn_scalar().powf(-0.5)",
        "scale: (args.head_dim as f32).powf(-0.5)",
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
        "is_sliding.then_some(args.sliding_window)",
        "is_sliding.then_some(args.sliding_window + 1)",
        "gemma3_text-4bit",
    ),
    ("src/models/gemma3_text.rs", "(dim as f32).sqrt()", "(dim as f32).sqrt() * 1.001", "gemma3_text-dense"),
    (
        "src/models/gemma3_text.rs",
        'head_norm("q_norm")?',
        'at.rms_norm("q_norm", args.head_dim, eps).map(Norm::from)?',
        "gemma3_text-dense",
    ),
    (
        "src/models/gemma3_text.rs",
        "if is_sliding { &local_rope } else { &full_rope }",
        "if is_sliding { &full_rope } else { &local_rope }",
        "gemma3_text-dense",
    ),
    (
        "src/models/gemma3n/mod.rs",
        "if sliding { &local_rope } else { &full_rope }",
        "if sliding { &full_rope } else { &local_rope }",
        "gemma3n-dense",
    ),
    ("src/models/gemma3_text.rs", "(full_rope, local_rope) =", "(local_rope, full_rope) =", "gemma3-dense"),
    (
        "src/models/gemma3n/altup.rs",
        "coefs.add(mlx::scalar(1.0, coefs.dtype())?)?",
        "coefs.add(mlx::scalar(0.9, coefs.dtype())?)?",
        "gemma3n-dense",
    ),
    ("src/models/gemma3n/altup.rs", "if index == 0 { 0.0 }", "if index == 1 { 0.0 }", "gemma3n-dense"),
    ("src/models/gemma3n/altup.rs", "activated.subtract(expected)?", "activated.add(expected)?", "gemma3n-dense"),
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
        "let queries = self.rope.forward(&heads.first(queries)?, offset)?;",
        "let offset = if self.has_kv() { offset } else { offset + 1 };\n        let queries = self.rope.forward(&heads.first(queries)?, offset)?;",
        "gemma4_text-dense",
    ),
    ("src/models/gemma4_text/mod.rs", "Ok(h.multiply(&self.layer_scalar)?)", "Ok(h)", "gemma4_text-dense"),
    (
        "src/models/gemma4_text/mod.rs",
        "layer.is_sliding.then_some(self.window_size)",
        "layer.is_sliding.then_some(self.window_size + 1)",
        "gemma4_text-moe-dense",
    ),
    (
        "src/models/gemma4_text/mod.rs",
        '"partial_rotary_factor": 0.25, "rope_theta": 1e6',
        '"partial_rotary_factor": 0.5, "rope_theta": 1e6',
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
        '["gate_proj", "up_proj"].map',
        '["up_proj", "gate_proj"].map',
        "gemma4-raw",
    ),
]
