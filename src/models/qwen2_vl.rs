// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen2_vl.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: both towers may lie under `model`.

//! The text model of Qwen2-VL and Qwen2.5-VL. Text has the same position on all three axes of their RoPE, which therefore
//! equals plain RoPE.

use serde_json::{Map, Value};

use super::{
    common::language_model,
    config,
    qwen2::{self, Qwen2},
};
use crate::{error::Result, weights::Weights};

/// Returns the text model's config, which is all of an older one without parts, and its weights renamed to `language_model`.
pub fn text_model<'a>(config: &Map<String, Value>, w: &Weights<'a>) -> Result<(Map<String, Value>, Weights<'a>)> {
    let vision = ["visual.", "vision_tower.", "model.visual."];
    let w = language_model(w, |name| vision.iter().any(|prefix| name.starts_with(prefix)));
    let text = if config.contains_key("text_config") { config::text_config(config)? } else { config.clone() };
    Ok((text, w))
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen2> {
    let (text, w) = text_model(config, w)?;
    qwen2::load(&text, &w)
}
