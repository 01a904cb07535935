// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_5_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Qwen3.5 with experts, stored on the Hub as (experts, 2 · hidden, dims) and (experts, dims, hidden).

use serde_json::{Map, Value};

use super::{
    qwen3_5::{text_args, text_model},
    qwen3_next::{self, Qwen3Next},
};
use crate::{error::Result, mlx, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Next> {
    let args = text_args(config)?;
    let w = text_model(w);
    w.replace(|name, array| {
        let Some((mlp, projection)) = name.rsplit_once("experts.") else { return Ok(None) };
        let named = |name: &str| format!("{mlp}switch_mlp.{name}.weight");
        match (projection, array.shape()) {
            ("gate_up_proj", &[_, both, _]) => {
                let half = |start, stop| mlx::slice_axis(array, -2, start, stop);
                let (gate, up) = (half(0, both / 2)?, half(both / 2, both)?);
                Ok(Some(vec![(named("gate_proj"), gate), (named("up_proj"), up)]))
            }
            ("down_proj", _) => Ok(Some(vec![(named("down_proj"), array.clone())])),
            _ => Ok(None),
        }
    })?;
    qwen3_next::build(&args, false, &w)
}
