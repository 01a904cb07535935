// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_5_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen3.5 with experts, stored on the Hub as (experts, 2 · hidden, dims) and (experts, dims, hidden), or one by one.

use serde_json::{Map, Value};

use super::{
    qwen3_5::{text_args, text_model},
    qwen3_next::{self, Qwen3Next},
};
use crate::{error::Result, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Next> {
    let args = text_args(config)?;
    let w = text_model(w);
    qwen3_next::stack_experts(&args, &w)?;
    qwen3_next::build(&args, false, &w)
}
