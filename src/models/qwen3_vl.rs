// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_vl.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: both towers may lie under `model`.

//! The text model of Qwen3-VL.

use serde_json::{Map, Value};

use super::{
    config, qwen2_vl,
    qwen3::{self, Qwen3},
};
use crate::{error::Result, weights::Weights};

/// The text model's config, and its weights.
pub fn text_model<'a>(config: &Map<String, Value>, w: &Weights<'a>) -> Result<(Map<String, Value>, Weights<'a>)> {
    let (mut text, w) = qwen2_vl::text_model(config, w)?;
    config::tie_as_wrapper(config, &mut text);
    Ok((text, w))
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3> {
    let (text, w) = text_model(config, w)?;
    qwen3::load(&text, &w)
}
