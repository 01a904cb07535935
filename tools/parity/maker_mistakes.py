# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes in what transformers has and mlx-lm has not; see mistakes.py."""

MAKERS = [
    (
        "src/models/config.rs",
        "is_sliding.then_some(size)",
        "is_sliding.then_some(size + 1)",
        "transformers:mistral-window",
    ),
    ("src/models/gemma2.rs", "|layer| layer % 2 == 0", "|layer| layer % 2 == 1", "transformers:gemma2-window"),
    ("src/models/qwen2.rs", "layer >= first", "layer > first", "transformers:qwen2-window"),
    ("src/models/qwen2_moe.rs", "&& layer < end", "&& layer <= end", "transformers:qwen2_moe-window"),
    (
        "src/nn/rope.rs",
        "TEXT_LENGTH.get()) > *limit => long",
        "TEXT_LENGTH.get()) >= *limit => long",
        "transformers:phi3-longrope-border",
    ),
    (
        "src/nn/rope.rs",
        'set("long_factor", "long_mscale")?',
        'set("short_factor", "long_mscale")?',
        "transformers:phi3-longrope-long",
    ),
    (
        "src/nn/rope.rs",
        'set("short_factor", "short_mscale")?',
        'set("long_factor", "short_mscale")?',
        "transformers:phi3-longrope-short",
    ),
    (
        "src/generate/step.rs",
        "let crosses = !last && counts_as_long(&self.model, text) != self.is_long;",
        "let crosses = false;",
        "transformers:phi3-longrope-crossing",
    ),
    (
        "src/nn/rope.rs",
        'scaling.0.get("truncate") != Some(&Value::Bool(false))',
        "true",
        "transformers:llama-yarn-untruncated",
    ),
    (
        "src/models/normalize.rs",
        'of_layers("sliding_attention").and_then',
        'of_layers("full_attention").and_then',
        "transformers:gemma3_text",
    ),
    (
        "src/models/llama4.rs",
        "RmsNorm::without_weight(args.rms_norm_eps)",
        "RmsNorm::without_weight(1e-6)",
        "transformers:llama4",
    ),
    ("src/models/llama4.rs", "None => has_rope,", "None => true,", "transformers:llama4_text"),
    (
        "src/models/qwen3_next/sanitize.rs",
        "weight.as_dtype(Dtype::Float32)?.add(mlx::scalar(1.0, Dtype::Float32)?)?",
        "weight.add(mlx::scalar(1.0, weight.dtype())?)?",
        "transformers:qwen3_next",
    ),
    (
        "src/models/gemma3_text.rs",
        "decoder.final_logit_softcapping = args.final_logit_softcapping;",
        "",
        "transformers:gemma3_text-layer-types",
    ),
    (
        "src/models/phi.rs",
        '[head_norm("q_layernorm")?, head_norm("k_layernorm")?]',
        '[head_norm("k_layernorm")?, head_norm("q_layernorm")?]',
        "transformers:phi-norms",
    ),
    (
        "src/models/mod.rs",
        "mlx::slice_axis(x, 1, length - 1, length)",
        "mlx::slice_axis(x, 1, 0, 1)",
        "transformers:llama",
    ),
    (
        "src/models/rotary.rs",
        "=> length * factor,",
        "=> length,",
        "test:models::rotary::tests::scaling_extends_the_context",
    ),
    (
        "src/models/generation_config.rs",
        "own_ends.into_iter().chain(with_text(config))",
        "own_ends.into_iter()",
        "test:models::generation_config",
    ),
    ("src/models/settings.rs", "|| value.is_number()", "|| true", "test:models::settings"),
]
