// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen3_next.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: the first layer need not have experts.

//! Converts the Hub's layout to ours.
//!
//! Differs from mlx-lm: 1 is added to the norms' weights in single precision.

use mlx_rs::{Array, Dtype, ops::concatenate};

use super::ModelArgs;
use crate::{
    error::{Error, Result},
    mlx::{self, Backend},
    weights::Weights,
};

const NORMS: [&str; 5] = [
    ".input_layernorm.weight",
    ".post_attention_layernorm.weight",
    "model.norm.weight",
    ".q_norm.weight",
    ".k_norm.weight",
];

/// In the Hub's layout, convolutions are (channels, 1, positions), and most norms store weight − 1.
pub fn sanitize(mut raw: bool, tied: bool, w: &Weights) -> Result<()> {
    w.retain(|name| !(name.contains("mtp.") || tied && name.starts_with("lm_head.")));
    w.replace(|name, array| {
        let conv = name.ends_with("conv1d.weight") && array.ndim() == 3 && mlx::dim(array, 2) != 1;
        raw |= conv;
        Ok(if conv { Some(vec![(name.to_owned(), array.move_axis(2, 1)?)]) } else { None })
    })?;
    w.replace(|name, array| {
        let shifted = raw && array.ndim() == 1 && NORMS.iter().any(|norm| name.ends_with(norm));
        Ok(if shifted { Some(vec![(name.to_owned(), plus_one(array)?)]) } else { None })
    })
}

/// weight + 1, in the dtype that norms compute with.
fn plus_one(weight: &Array) -> Result<Array> {
    let dtype = if mlx::backend() == Backend::Cpu { Dtype::Float32 } else { weight.dtype() };
    Ok(weight.as_dtype(Dtype::Float32)?.add(mlx::scalar(1.0, Dtype::Float32)?)?.as_dtype(dtype)?)
}

/// Converts `in_proj_qkvz` and `in_proj_ba`, whose outputs are grouped by key head, into `in_proj_qkv`,
/// `in_proj_z`, `in_proj_b` and `in_proj_a`. Rows stay as they are, so this works on quantized matrices too.
pub fn order_projections(args: &ModelArgs, w: &Weights) -> Result<()> {
    let (heads, k) = (args.linear_num_key_heads, args.linear_key_head_dim);
    let groups = args.linear_num_value_heads / heads;
    let v = groups * args.linear_value_head_dim;
    let ordered = |name: &str, array: &Array| {
        let Some((at, (kind, part))) =
            name.split_once("in_proj_").and_then(|(at, end)| Some((at, end.split_once('.')?)))
        else {
            return Ok(None);
        };
        let of_head = if kind == "qkvz" { 2 * (k + v) } else { 2 * groups };
        let &[rows, columns] = array.shape() else { return Ok(None) };
        if !matches!(kind, "qkvz" | "ba") || rows != heads * of_head {
            return Ok(None);
        }
        // (Hk * of_head, columns) -> (Hk, of_head, columns) -> (Hk * some of them, columns)
        let by_head = array.reshape(&[heads, of_head, columns])?;
        let take = |start, end| Ok::<_, Error>(mlx::slice_axis(&by_head, 1, start, end)?.reshape(&[-1, columns])?);
        let parts = if kind == "qkvz" {
            let qkv = concatenate(&[take(0, k)?, take(k, 2 * k)?, take(2 * k, 2 * k + v)?], 0)?;
            [("qkv", qkv), ("z", take(2 * k + v, of_head)?)]
        } else {
            [("b", take(0, groups)?), ("a", take(groups, of_head)?)]
        };
        Ok(Some(parts.map(|(kind, rows)| (format!("{at}in_proj_{kind}.{part}"), rows)).into()))
    };
    w.replace(ordered)?;
    w.replace_adapter(|name, array| {
        // Parts read the same input, and have some of the outputs each.
        let with_rows = |rows: &Array, back: fn(Array) -> Result<Array>| {
            let Some(parts) = ordered(name, rows)? else { return Ok(None) };
            parts.into_iter().map(|(name, part)| Ok((name, back(part)?))).collect::<Result<Vec<_>>>().map(Some)
        };
        match name.rsplit_once('.').map(|(_, part)| part) {
            Some("lora_a") => Ok([("qkvz", ["qkv", "z"]), ("ba", ["b", "a"])].iter().find_map(|(whole, parts)| {
                let (at, end) = name.split_once(&format!("in_proj_{whole}."))?;
                Some(parts.map(|part| (format!("{at}in_proj_{part}.{end}"), array.clone())).into())
            })),
            Some("lora_b") => with_rows(&array.transpose()?, |part| Ok(part.transpose()?)),
            Some("m") => with_rows(&array.expand_dims(-1)?, |part| Ok(part.squeeze_axes(&[-1])?)),
            _ => ordered(name, array),
        }
    })
}
