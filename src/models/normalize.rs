// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! One form of config.json, whichever release of transformers wrote it.
//!
//! Models read the form that mlx-lm reads, which is that of transformers 4: `rope_theta`, `rope_scaling` and others side by
//! side. transformers 5 nests the settings of RoPE in `rope_parameters`, for each type of layer where these differ, and
//! has new names. What it nests wins over what is beside it, as it does there.

use serde_json::{Map, Value};

use super::config;
use crate::error::Result;

/// Rewrites a config and its `text_config`. Fields that are null count as missing.
///
/// # Errors
/// `ConfigInvalid` for a `per_layer_config` that no model has.
pub fn normalize(mut config: Map<String, Value>) -> Result<Map<String, Value>> {
    normalize_text(&mut config)?;
    if let Some(Value::Object(text)) = config.get_mut("text_config") {
        normalize_text(text)?;
    }
    Ok(config)
}

fn normalize_text(config: &mut Map<String, Value>) -> Result<()> {
    flatten_rope(config);
    join_layers(config)?;
    set_original_length(config);
    for [one, other] in [["num_experts", "num_local_experts"], ["num_local_experts", "num_experts"]] {
        copy_if_missing(config, one, other);
    }
    Ok(())
}

/// Whether a field is there and not null.
fn has(config: &Map<String, Value>, name: &str) -> bool {
    config.get(name).is_some_and(|value| !value.is_null())
}

fn copy_if_missing(config: &mut Map<String, Value>, from: &str, to: &str) {
    if has(config, from)
        && !has(config, to)
        && let Some(value) = config.get(from).cloned()
    {
        config.insert(to.to_owned(), value);
    }
}

/// Puts the fields of `rope_parameters` where transformers 4 had them. It stays as well, for models that it was made for.
fn flatten_rope(config: &mut Map<String, Value>) {
    let Some(Value::Object(parameters)) = config.get("rope_parameters").cloned() else { return };
    let of_layers = |kind: &str| parameters.get(kind).and_then(Value::as_object).cloned();
    let is_nested = parameters.values().any(Value::is_object);
    if is_nested {
        if let Some(theta) = of_layers("sliding_attention").and_then(|sliding| sliding.get("rope_theta").cloned()) {
            config.insert("rope_local_base_freq".to_owned(), theta);
        }
        hoist(config, of_layers("full_attention").unwrap_or_default());
    } else {
        hoist(config, parameters);
    }
}

/// Gemma 4's heads of layers with full attention, which transformers 5 has in `per_layer_config`, by the number of the layer.
fn join_layers(config: &mut Map<String, Value>) -> Result<()> {
    const NAME: &str = "per_layer_config";
    let Some(Value::Object(layers)) = config.remove(NAME) else { return Ok(()) };
    let types = config.get("layer_types").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let full: Vec<_> = (0..).zip(types).filter(|(_, kind)| *kind == "full_attention").map(|(index, _)| index).collect();
    let first = layers.values().next();
    let is_full = |index: &String| index.parse().is_ok_and(|index: usize| full.contains(&index));
    if !(layers.is_empty() || layers.len() == full.len() && layers.keys().all(is_full))
        || layers.values().any(|layer| Some(layer) != first)
    {
        return Err(config::invalid(
            NAME,
            "is not the same for all layers with full attention, and empty for the others",
        ));
    }
    let values = first.and_then(Value::as_object).cloned().unwrap_or_default();
    // Else a default would count.
    config.insert("global_head_dim".to_owned(), Value::Null);
    for (name, value) in values {
        let name = match name.as_str() {
            "head_dim" => "global_head_dim",
            "num_key_value_heads" => "num_global_key_value_heads",
            _ => return Err(config::invalid(NAME, format!("'{name}' is not supported"))),
        };
        config.insert(name.to_owned(), value);
    }
    Ok(())
}

/// LongRoPE's border, `original_max_position_embeddings`, beside the other sizes: Phi's configs have it there.
fn set_original_length(config: &mut Map<String, Value>) {
    const NAME: &str = "original_max_position_embeddings";
    let Some(Value::Object(scaling)) = config.get("rope_scaling") else { return };
    if !is_long_rope(scaling) || has(config, NAME) {
        return;
    }
    let is_phi = matches!(config.get("model_type").and_then(Value::as_str), Some("phi3" | "phimoe"));
    let default = if is_phi { Some(&Value::from(4096)) } else { config.get("max_position_embeddings") };
    if let Some(original) = scaling.get(NAME).filter(|value| !value.is_null()).or(default).cloned() {
        config.insert(NAME.to_owned(), original);
    }
}

/// The kind of a scaling. `type` is the older name.
pub fn kind(scaling: &Map<String, Value>) -> Option<&str> {
    ["rope_type", "type"].into_iter().find_map(|name| scaling.get(name)?.as_str())
}

/// Whether a scaling is LongRoPE, which was called su first.
pub fn is_long_rope(scaling: &Map<String, Value>) -> bool {
    matches!(kind(scaling), Some("longrope" | "su"))
}

fn hoist(config: &mut Map<String, Value>, parameters: Map<String, Value>) {
    if has(config, "rope_scaling") {
        return;
    }
    for name in ["rope_theta", "partial_rotary_factor"] {
        if has(&parameters, name)
            && let Some(value) = parameters.get(name)
        {
            config.insert(name.to_owned(), value.clone());
        }
    }
    if kind(&parameters).is_some_and(|kind| kind != "default") {
        config.insert("rope_scaling".to_owned(), Value::Object(parameters));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn normalized(config: Value) -> Value {
        Value::Object(normalize(config.as_object().unwrap().clone()).unwrap())
    }

    #[test]
    fn nested_settings_are_put_beside_the_others() {
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "rope_theta": 5e5, "partial_rotary_factor": 0.5});
        let config = normalized(json!({"rope_theta": 1e4, "rope_parameters": scaling}));
        assert_eq!(config["rope_theta"], json!(5e5));
        assert_eq!(config["partial_rotary_factor"], json!(0.5));
        assert_eq!(config["rope_scaling"], scaling);
    }

    #[test]
    fn no_scaling_comes_of_a_plain_rotation() {
        let config = normalized(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}));
        assert_eq!(config["rope_theta"], json!(5e5));
        assert!(config.get("rope_scaling").is_none());
    }

    #[test]
    fn rope_scaling_wins_as_a_whole() {
        let config = normalized(json!({
            "rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 1e4,
            "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5},
        }));
        assert_eq!((&config["rope_theta"], &config["rope_scaling"]["factor"]), (&json!(1e4), &json!(2.0)));
    }

    #[test]
    fn types_of_layers_have_bases_of_their_own() {
        let text = json!({"rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
        }});
        let config = normalized(json!({"text_config": text}));
        let text = &config["text_config"];
        assert_eq!((&text["rope_theta"], &text["rope_local_base_freq"]), (&json!(5000.0), &json!(300.0)));
        assert_eq!(text["rope_scaling"]["factor"], json!(8.0));
    }

    #[test]
    fn experts_are_counted_under_either_name() {
        assert_eq!(normalized(json!({"num_local_experts": 5}))["num_experts"], json!(5));
        assert_eq!(normalized(json!({"num_experts": 5, "num_local_experts": null}))["num_local_experts"], json!(5));
        assert_eq!(normalized(json!({"num_experts": 5, "num_local_experts": 6}))["num_experts"], json!(5));
    }
}
