// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! config.json: parses a model's arguments and checks them before anything is allocated.

use serde::{Deserialize, de::DeserializeOwned};
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

/// Fails unless a number is positive and finite.
pub fn check_positive(name: &str, value: f32) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(invalid(name, format!("{value} is not a positive number")))
}

/// A config, and its `text_config` if it has one.
pub fn with_text(config: &Map<String, Value>) -> impl DoubleEndedIterator<Item = &Map<String, Value>> {
    [Some(config), config.get("text_config").and_then(Value::as_object)].into_iter().flatten()
}

/// The text model's part of a multimodal config.
pub fn text_config(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    match config.get("text_config") {
        Some(Value::Object(text)) => Ok(text.clone()),
        _ => Err(invalid("text_config", "is missing or not an object")),
    }
}

/// Fails unless a list that is given has an entry for each layer.
pub fn check_length<T>(name: &str, list: Option<&[T]>, layers: i32) -> Result<()> {
    check_list(name, list, |length| length == i64::from(layers), layers)
}

/// Fails if a list of layers names more than there are.
pub fn check_layers(name: &str, list: Option<&[i32]>, layers: i32) -> Result<()> {
    check_list(name, list, |length| length <= i64::from(layers), layers)
}

fn check_list<T>(name: &str, list: Option<&[T]>, fits: impl Fn(i64) -> bool, layers: i32) -> Result<()> {
    match list {
        Some(list) if !fits(list.len() as i64) => {
            Err(invalid(name, format!("has {} entries for {layers} layers", list.len())))
        }
        _ => Ok(()),
    }
}

/// A size that only some models need.
pub fn required_size(name: &str, value: Option<i32>) -> Result<i32> {
    let value = value.ok_or_else(|| invalid(name, "is missing"))?;
    check_sizes(&[(name, value)]).map(|()| value)
}

/// `layer_types`: whether each layer has a sliding window. `default` says so where the field is missing.
pub fn sliding_layers(
    layer_types: Option<&[String]>,
    num_layers: i32,
    default: impl Fn(i32) -> bool,
) -> Result<Vec<bool>> {
    let Some(types) = layer_types else { return Ok((0..num_layers).map(default).collect()) };
    check_length("layer_types", Some(types), num_layers)?;
    types
        .iter()
        .map(|kind| match kind.as_str() {
            "full_attention" => Ok(false),
            "sliding_attention" => Ok(true),
            _ => Err(invalid("layer_types", format!("'{kind}' is not supported"))),
        })
        .collect()
}

/// The fields about windows.
#[derive(Debug, Deserialize)]
struct WindowFields {
    layer_types: Option<Vec<String>>,
    sliding_window: Option<i32>,
    use_sliding_window: Option<bool>,
}

/// The window of each layer; `None` for full attention. A layer sees that many tokens, itself included. `default` says which
/// layers have the window, if there is one, where `layer_types` does not.
///
/// # Errors
/// `ConfigInvalid` for a kind of layer that is not known, and for windows without a size.
pub fn windows(
    config: &Map<String, Value>,
    num_layers: i32,
    default: impl Fn(i32) -> bool,
) -> Result<Vec<Option<i32>>> {
    let WindowFields { layer_types, sliding_window: size, use_sliding_window } = parse(config)?;
    let sliding = sliding_layers(layer_types.as_deref(), num_layers, |layer| size.is_some() && default(layer))?;
    if use_sliding_window == Some(false) || !sliding.contains(&true) {
        return Ok(vec![None; sliding.len()]);
    }
    let size = size.ok_or_else(|| invalid("sliding_window", "is missing"))?;
    check_sizes(&[("sliding_window", size)])?;
    Ok(sliding.into_iter().map(|is_sliding| is_sliding.then_some(size)).collect())
}

/// The windows of Qwen's models, which have none unless `use_sliding_window` says so. `default`: whether a layer has one, given
/// `max_window_layers`.
pub fn qwen_windows(
    config: &Map<String, Value>,
    num_layers: i32,
    default: impl Fn(i32, i32) -> bool,
) -> Result<Vec<Option<i32>>> {
    if config.get("use_sliding_window") != Some(&Value::Bool(true)) {
        return Ok(vec![None; usize::try_from(num_layers).unwrap_or(0)]);
    }
    let given = config.get("max_window_layers").and_then(Value::as_i64).unwrap_or(28);
    let max_window_layers = i32::try_from(given).unwrap_or(i32::MAX);
    windows(config, num_layers, |layer| default(layer, max_window_layers))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn windows_are_in_the_layers_that_the_config_names() {
        let of = |value: Value, default: fn(i32) -> bool| windows(value.as_object().unwrap(), 4, default);
        let all: fn(i32) -> bool = |_| true;
        let (none, some) = (None, Some(8));
        for (value, default, expected) in [
            (json!({"sliding_window": 8}), all, [some; 4]),
            (json!({"sliding_window": null}), all, [none; 4]),
            (json!({"sliding_window": 8}), |_| false, [none; 4]),
            (json!({"sliding_window": 8, "use_sliding_window": false}), all, [none; 4]),
            (json!({"sliding_window": 8}), |layer| layer >= 3, [none, none, none, some]),
            (json!({"sliding_window": 8}), |layer| layer % 2 == 0, [some, none, some, none]),
            (json!({"sliding_window": 8}), |layer| layer % 2 == 0 && layer < 2, [some, none, none, none]),
            (
                json!({"sliding_window": 8, "layer_types": [
                    "full_attention", "full_attention", "sliding_attention", "full_attention",
                ]}),
                all,
                [none, none, some, none],
            ),
        ] {
            assert_eq!(of(value.clone(), default).unwrap(), expected, "{value}");
        }
        for value in [json!({"sliding_window": 0}), json!({"layer_types": ["sliding_attention"]})] {
            assert_eq!(of(value, all).unwrap_err().code(), "ERR_CONFIG_INVALID");
        }
    }

    #[test]
    fn qwen_has_windows_only_where_it_says_so() {
        let of = |value: Value| qwen_windows(value.as_object().unwrap(), 3, |layer, first| layer >= first).unwrap();
        assert_eq!(of(json!({"sliding_window": 8, "max_window_layers": 1})), [None; 3]);
        let windows = of(json!({"sliding_window": 8, "max_window_layers": 1, "use_sliding_window": true}));
        assert_eq!(windows, [None, Some(8), Some(8)]);
    }
}
