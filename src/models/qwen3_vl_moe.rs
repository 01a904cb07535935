// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_vl_moe.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: both towers may lie under `model`.

//! The text model of Qwen3-VL-MoE, whose checkpoints keep the experts of a layer in two tensors.

use mlx_rs::Array;
use serde_json::{Map, Value};

use super::{
    qwen2_vl::text_model,
    qwen3_moe::{self, Qwen3Moe},
};
use crate::{error::Result, mlx, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen3Moe> {
    let (text, w) = text_model(config, w)?;
    w.replace(|name, array| {
        let Some((mlp, fused)) = name.split_once(".experts.") else { return Ok(None) };
        let columns = array.shape().last().copied().unwrap_or(0);
        // (experts, in, out) -> (experts, out, in)
        let layer = |to: &str, part: Array| -> Result<(String, Array)> {
            Ok((format!("{mlp}.switch_mlp.{to}.weight"), part.swap_axes(-2, -1)?))
        };
        match fused {
            "gate_up_proj" => Ok(Some(vec![
                layer("gate_proj", mlx::slice_axis(array, -1, 0, columns / 2)?)?,
                layer("up_proj", mlx::slice_axis(array, -1, columns / 2, columns)?)?,
            ])),
            "down_proj" => Ok(Some(vec![layer("down_proj", array.clone())?])),
            _ => Ok(None),
        }
    })?;
    qwen3_moe::load(&text, &w)
}
