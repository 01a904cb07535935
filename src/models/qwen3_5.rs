// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_5.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen3.5: Qwen3-Next whose projections are stored in the order that [`super::qwen3_next`] uses. Many checkpoints have a
//! multimodal wrapper; only the text model is used.

use serde_json::{Map, Value, json};

use super::{
    common::language_model,
    config,
    qwen3_next::{self, ModelArgs, Qwen3Next},
};
use crate::{error::Result, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Next> {
    qwen3_next::build(&text_args(config)?, false, &text_model(w))
}

/// mlx-lm's `TextModelArgs`.
pub fn text_args(config: &Map<String, Value>) -> Result<ModelArgs> {
    let mut text = if config.contains_key("text_config") { config::text_config(config)? } else { config.clone() };
    // Where there are experts, every layer has them.
    text.retain(|name, _| !matches!(name.as_str(), "decoder_sparse_step" | "mlp_only_layers"));
    let defaults = json!({
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "rms_norm_eps": 1e-6,
        "vocab_size": 151_936,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "linear_num_value_heads": 64,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 192,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "full_attention_interval": 4,
        "num_experts": 0,
        "num_experts_per_tok": 0,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "shared_expert_intermediate_size": 0,
        "moe_intermediate_size": 0,
        "norm_topk_prob": true,
        "partial_rotary_factor": 0.25,
        "rope_theta": 100_000.0,
    });
    ModelArgs::new(&text, defaults)
}

/// Keeps the tensors of the text model; those of the vision model are dropped.
pub fn text_model<'a>(w: &Weights<'a>) -> Weights<'a> {
    language_model(w, |name| name.starts_with("vision_tower") || name.starts_with("model.visual"))
}
