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
    let (mut text, w) = text_model(config, w)?;
    // transformers has no such setting for this model.
    text.insert("norm_topk_prob".to_owned(), Value::Bool(true));
    // transformers 5 saves (experts, out, in), which `qwen3_moe` reads.
    if has_rows_of_inputs(&text, &w) {
        split_transposed_experts(&w)?;
    }
    qwen3_moe::load(&text, &w)
}

/// Whether experts are stored as (experts, in, out): by the shapes of both tensors, of which one may be square.
fn has_rows_of_inputs(text: &Map<String, Value>, w: &Weights) -> bool {
    let size = |name: &str| text.get(name).and_then(Value::as_i64).and_then(|size| i32::try_from(size).ok());
    let (Some(dim), Some(hidden)) = (size("hidden_size"), size("moe_intermediate_size")) else { return false };
    let all_are = |part: &str, rows: i32| {
        let of_part = w.names().into_iter().filter(|name| name.ends_with(part));
        of_part.filter_map(|name| w.shape(&name)).all(|shape| shape.get(1) == Some(&rows))
    };
    all_are(".experts.gate_up_proj", dim) && all_are(".experts.down_proj", hidden)
}

fn split_transposed_experts(w: &Weights) -> Result<()> {
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
    })
}
