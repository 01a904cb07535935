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
    if let Some(Value::Object(mut text)) = config.remove("text_config") {
        normalize_text(&mut text)?;
        share_tie(&config, &mut text);
        config.insert("text_config".to_owned(), Value::Object(text));
    }
    Ok(config)
}

/// Has the text model's part say what the wrapper says of whether the embedding is also the output layer. In most models, what
/// transformers 5 writes into the part is a default; in Qwen2-VL and Qwen2.5-VL, the part wins.
fn share_tie(config: &Map<String, Value>, text: &mut Map<String, Value>) {
    const NAME: &str = "tie_word_embeddings";
    let model_type = config.get("model_type").and_then(Value::as_str);
    let part_wins = matches!(model_type, Some("qwen2_vl" | "qwen2_5_vl")) && has(text, NAME);
    if let Some(tied) = config.get(NAME).filter(|value| !value.is_null() && !part_wins) {
        text.insert(NAME.to_owned(), tied.clone());
    }
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
///
/// As in transformers, `rope_scaling` wins over it as a whole, but for settings by type of layer, which it adds to; what is
/// in either wins over what is beside it; and an empty one counts as missing.
fn flatten_rope(config: &mut Map<String, Value>) {
    let object = |name: &str| config.get(name)?.as_object().filter(|settings| !settings.is_empty()).cloned();
    let (scaling, parameters) = (object("rope_scaling"), object("rope_parameters").unwrap_or_default());
    if !parameters.values().any(Value::is_object) {
        return hoist(config, scaling.unwrap_or(parameters));
    }
    let of_layers = |kind: &str| parameters.get(kind).and_then(Value::as_object).cloned();
    if let Some(theta) = of_layers("sliding_attention").and_then(|sliding| sliding.get("rope_theta").cloned()) {
        config.insert("rope_local_base_freq".to_owned(), theta);
    }
    let mut full = of_layers("full_attention").unwrap_or_default();
    full.extend(scaling.unwrap_or_default());
    hoist(config, full);
}

fn hoist(config: &mut Map<String, Value>, settings: Map<String, Value>) {
    for name in ["rope_theta", "partial_rotary_factor"] {
        if has(&settings, name)
            && let Some(value) = settings.get(name)
        {
            config.insert(name.to_owned(), value.clone());
        }
    }
    if kind(&settings).is_some_and(|kind| kind != "default") {
        config.insert("rope_scaling".to_owned(), Value::Object(settings));
    }
}

/// Gemma 4's heads of layers with full attention, which transformers 5 has in `per_layer_config`, by the number of the layer.
fn join_layers(config: &mut Map<String, Value>) -> Result<()> {
    const NAME: &str = "per_layer_config";
    if config.get("attention_k_eq_v") != Some(&Value::Bool(true)) {
        config.remove("num_global_key_value_heads");
    }
    let Some(Value::Object(layers)) = config.remove(NAME) else { return Ok(()) };
    let types = config.get("layer_types").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let full = types.iter().filter(|kind| *kind == "full_attention").count();
    let first = layers.values().next();
    let is_full = |index: &String| {
        let kind = index.parse().ok().and_then(|index: usize| types.get(index));
        kind.is_some_and(|kind| kind == "full_attention")
    };
    if !(layers.is_empty() || layers.len() == full && layers.keys().all(is_full))
        || layers.values().any(|layer| Some(layer) != first)
    {
        return Err(config::invalid(
            NAME,
            "is not the same for all layers with full attention, and empty for the others",
        ));
    }
    let values = first.and_then(Value::as_object).cloned().unwrap_or_default();
    // Missing would mean another default.
    config.insert("global_head_dim".to_owned(), Value::Null);
    config.remove("num_global_key_value_heads");
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

/// LongRoPE's border, `original_max_position_embeddings`, in the scaling and beside the other sizes. Phi's configs have it
/// beside them, and call the scaling by other names, too.
fn set_original_length(config: &mut Map<String, Value>) {
    const NAME: &str = "original_max_position_embeddings";
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let (is_phi3, is_phi) = (model_type == "phi3", matches!(model_type, "phi3" | "phimoe"));
    let Some(Value::Object(mut scaling)) = config.get("rope_scaling").cloned() else { return };
    if is_phi3 && kind(&scaling) == Some("yarn") {
        scaling.remove("type");
        scaling.insert("rope_type".to_owned(), Value::from("longrope"));
    }
    if !is_long_rope(&scaling) {
        return;
    }
    let given = |map: &Map<String, Value>| map.get(NAME).filter(|value| !value.is_null()).cloned();
    let (outer, inner) = (given(config), given(&scaling));
    let original = if is_phi {
        outer.or(inner).or(Some(Value::from(4096)))
    } else {
        inner.or(outer).or_else(|| config.get("max_position_embeddings").cloned())
    };
    if let Some(original) = original {
        scaling.insert(NAME.to_owned(), original.clone());
        config.insert(NAME.to_owned(), original);
    }
    config.insert("rope_scaling".to_owned(), Value::Object(scaling));
}

/// The kind of a scaling. `type` is the older name.
pub fn kind(scaling: &Map<String, Value>) -> Option<&str> {
    ["rope_type", "type"].into_iter().find_map(|name| scaling.get(name)?.as_str())
}

/// Whether a scaling is LongRoPE, which was called su first.
pub fn is_long_rope(scaling: &Map<String, Value>) -> bool {
    matches!(kind(scaling), Some("longrope" | "su"))
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
    fn what_is_nested_in_rope_scaling_counts_and_an_empty_one_does_not() {
        let config =
            normalized(json!({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0, "rope_theta": 50}}));
        assert_eq!(config["rope_theta"], json!(50));
        let parameters = json!({"rope_type": "default", "rope_theta": 50});
        let config = normalized(json!({"rope_theta": 1e4, "rope_scaling": {}, "rope_parameters": parameters}));
        assert_eq!(config["rope_theta"], json!(50));
        let config = normalized(json!({
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
            "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e5}, "sliding_attention": {}},
        }));
        assert_eq!((&config["rope_theta"], &config["rope_scaling"]["factor"]), (&json!(1e5), &json!(4.0)));
    }

    #[test]
    fn the_original_length_is_phi_s_own_or_that_of_the_scaling() {
        let scaling = json!({"rope_type": "longrope", "original_max_position_embeddings": 16});
        let original = |model_type: &str, outer: Value| {
            let config = normalized(json!({
                "model_type": model_type, "rope_scaling": scaling, "original_max_position_embeddings": outer,
            }));
            assert_eq!(
                config["rope_scaling"]["original_max_position_embeddings"],
                config["original_max_position_embeddings"]
            );
            config["original_max_position_embeddings"].clone()
        };
        assert_eq!(original("phi3", json!(32)), 32);
        assert_eq!(original("phi3", Value::Null), 16);
        assert_eq!(original("llama", json!(32)), 16);
        let older = normalized(json!({"model_type": "phi3", "rope_scaling": {"type": "yarn", "short_factor": [1.0]}}));
        assert_eq!(
            (&older["rope_scaling"]["rope_type"], &older["original_max_position_embeddings"]),
            (&json!("longrope"), &json!(4096))
        );
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
    fn layers_with_full_attention_may_have_other_heads() {
        let types = json!(["sliding_attention", "full_attention", "full_attention"]);
        let with = |layers: Value| {
            let config = json!({"layer_types": types, "head_dim": 16, "per_layer_config": layers});
            normalize(config.as_object().unwrap().clone())
        };
        let heads = json!({"head_dim": 32, "num_key_value_heads": 1});
        let config = with(json!({"1": heads, "2": heads})).unwrap();
        assert_eq!((&config["global_head_dim"], &config["num_global_key_value_heads"]), (&json!(32), &json!(1)));
        assert_eq!(with(json!({})).unwrap()["global_head_dim"], Value::Null);
        for layers in [
            json!({"1": heads}),
            json!({"0": heads, "1": heads}),
            json!({"1": heads, "2": {"head_dim": 64}}),
            json!({"1": {"hidden_size": 8}, "2": {"hidden_size": 8}}),
            json!({"1": heads, "7": heads}),
        ] {
            assert_eq!(with(layers.clone()).unwrap_err().code(), "ERR_CONFIG_INVALID", "{layers}");
        }
        let older = json!({"global_head_dim": 32, "num_global_key_value_heads": 1});
        assert!(normalized(older).get("num_global_key_value_heads").is_none());
    }

    #[test]
    fn ties_are_looked_for_in_the_whole_config_too() {
        let tied = |model_type: &str, part: Value, whole: Value| {
            let text = json!({ "tie_word_embeddings": part });
            let config = json!({"model_type": model_type, "text_config": text, "tie_word_embeddings": whole});
            normalized(config)["text_config"]["tie_word_embeddings"].clone()
        };
        for model_type in ["qwen2_vl", "qwen3_vl"] {
            assert_eq!(tied(model_type, Value::Null, json!(false)), json!(false));
            assert_eq!(tied(model_type, json!(true), Value::Null), json!(true));
            assert_eq!(tied(model_type, Value::Null, Value::Null), Value::Null);
        }
        assert_eq!(tied("qwen2_vl", json!(true), json!(false)), json!(true));
        assert_eq!(tied("qwen3_vl", json!(true), json!(false)), json!(false));
    }

    #[test]
    fn experts_are_counted_under_either_name() {
        assert_eq!(normalized(json!({"num_local_experts": 5}))["num_experts"], json!(5));
        assert_eq!(normalized(json!({"num_experts": 5, "num_local_experts": null}))["num_local_experts"], json!(5));
        assert_eq!(normalized(json!({"num_experts": 5, "num_local_experts": 6}))["num_experts"], json!(5));
    }
}
