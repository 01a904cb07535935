// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_vl.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: both towers may lie under `model`.

//! The text model of Qwen3-VL.

use serde_json::{Map, Value};

use super::{
    qwen2_vl::text_model,
    qwen3::{self, Qwen3},
};
use crate::{error::Result, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3> {
    let (text, w) = text_model(config, w)?;
    qwen3::load(&text, &w)
}
