// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! config.json: parses a model's arguments and checks them before anything is allocated.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    files,
};

const FILE: &str = "config.json";
/// Larger than in any model, and small enough to multiply two of them.
const MAX_SIZE: i32 = 1 << 24;
const MAX_LAYERS: i32 = 4096;

/// Parses a config as a model's arguments.
///
/// # Errors
/// `ConfigInvalid` with the name of the first field that is missing or has the wrong type.
pub fn parse<T: DeserializeOwned>(config: &Map<String, Value>) -> Result<T> {
    files::parse(FILE, config)
}

/// The default of fields that are true if missing.
pub fn yes() -> bool {
    true
}

/// The error for a field with an impossible value.
pub fn invalid(name: &str, message: impl Into<String>) -> Error {
    Error::config(FILE, name, message)
}

/// Fails unless every named size is positive and plausible.
pub fn check_sizes(sizes: &[(&str, i32)]) -> Result<()> {
    for &(name, value) in sizes {
        let max = if name == "num_hidden_layers" { MAX_LAYERS } else { MAX_SIZE };
        if !(1..=max).contains(&value) {
            return Err(invalid(name, format!("{value} is not between 1 and {max}")));
        }
    }
    Ok(())
}

/// Checks the shape of an attention layer: heads divide evenly, and RoPE has pairs to rotate.
pub fn check_heads(heads: i32, kv_heads: i32, head_dim: i32) -> Result<()> {
    check_sizes(&[("num_attention_heads", heads), ("num_key_value_heads", kv_heads), ("head_dim", head_dim)])?;
    if heads % kv_heads != 0 {
        return Err(invalid(
            "num_key_value_heads",
            format!("{heads} heads cannot share {kv_heads} key-value heads evenly"),
        ));
    }
    if head_dim % 2 != 0 {
        return Err(invalid("head_dim", format!("{head_dim} is odd, so it cannot be rotated in pairs")));
    }
    check_sizes(&[("num_attention_heads * head_dim", heads.saturating_mul(head_dim))])
}

/// Number of rotated features per head for a `partial_rotary_factor`, rounded down as in Python.
pub fn rotary_dims(head_dim: i32, factor: f64) -> Result<i32> {
    let dims = (f64::from(head_dim) * factor) as i32;
    if (2..=head_dim).contains(&dims) && dims % 2 == 0 {
        return Ok(dims);
    }
    let message = format!("{factor} of {head_dim} features are not an even number of them");
    Err(invalid("partial_rotary_factor", message))
}

/// Fails unless there are at least as many experts as each token uses.
pub fn check_experts(experts: (&str, i32), per_token: i32) -> Result<()> {
    check_sizes(&[experts, ("num_experts_per_tok", per_token)])?;
    if per_token <= experts.1 {
        return Ok(());
    }
    let message = format!("{per_token} is more than the {} experts that there are", experts.1);
    Err(invalid("num_experts_per_tok", message))
}

/// `rope_theta`, or the one in `rope_parameters`, in which transformers 5 nests it.
pub fn rope_theta(theta: Option<f32>, nested: Option<&Map<String, Value>>) -> Option<f32> {
    theta.or_else(|| Some(nested?.get("rope_theta")?.as_f64()? as f32))
}

/// Fails unless a number is positive and finite.
pub fn check_positive(name: &str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(invalid(name, format!("{value} is not a positive number")))
}

/// The text model's part of a multimodal config.
pub fn text_config(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    match config.get("text_config") {
        Some(Value::Object(text)) => Ok(text.clone()),
        _ => Err(invalid("text_config", "is missing or not an object")),
    }
}

/// `layer_types`: whether each layer has a sliding window; none has if the field is missing.
pub fn sliding_layers(layer_types: Option<&[String]>, num_layers: i32) -> Result<Vec<bool>> {
    let num_layers = usize::try_from(num_layers).unwrap_or(0);
    let Some(types) = layer_types else { return Ok(vec![false; num_layers]) };
    if types.len() != num_layers {
        return Err(invalid("layer_types", format!("has {} entries for {num_layers} layers", types.len())));
    }
    types
        .iter()
        .map(|kind| match kind.as_str() {
            "full_attention" => Ok(false),
            "sliding_attention" => Ok(true),
            _ => Err(invalid("layer_types", format!("'{kind}' is not supported"))),
        })
        .collect()
}

/// The window of each layer, from `layer_types` and `sliding_window`; `None` for full attention.
pub fn windows(layer_types: Option<&[String]>, num_layers: i32, window: Option<i32>) -> Result<Vec<Option<i32>>> {
    let sliding = sliding_layers(layer_types, num_layers)?;
    if !sliding.contains(&true) {
        return Ok(vec![None; sliding.len()]);
    }
    let window = window.ok_or_else(|| invalid("sliding_window", "is missing"))?;
    check_sizes(&[("sliding_window", window)])?;
    Ok(sliding.into_iter().map(|sliding| sliding.then_some(window)).collect())
}
