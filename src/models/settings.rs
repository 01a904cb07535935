// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Settings that transformers computes with and our models do not read, because all published models of a family agree on
//! them. Another value is refused: the model would load, and give other numbers.

use serde_json::{Map, Value, json};

use super::config;
use crate::error::Result;

/// Names of the GELU with a hyperbolic tangent.
const GELU: [&str; 4] = ["gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_python_tanh"];

/// What a model computes with whatever its config says; the first is the default.
fn fixed(model_type: &str) -> Vec<(&'static str, Vec<Value>)> {
    let is_gemma = model_type.starts_with("gemma");
    let activations = match model_type {
        // Its first configs say `gelu` and mean the other one.
        "gemma" => json!([GELU[0], GELU[1], GELU[2], GELU[3], "gelu"]),
        _ if is_gemma || model_type == "phi" => json!(GELU),
        _ => json!(["silu", "swish"]),
    };
    let list = |value: Value| value.as_array().cloned().unwrap_or_default();
    let mut fixed = vec![("hidden_act", list(activations.clone())), ("hidden_activation", list(activations))];
    if is_gemma {
        fixed.push(("attention_bias", vec![json!(false)]));
        // Images are seen from both sides; a text is not.
        fixed.push(("use_bidirectional_attention", vec![json!(false), json!("vision")]));
    }
    if model_type.starts_with("gemma3n") {
        fixed.push(("tie_word_embeddings", vec![json!(true)]));
    }
    if matches!(model_type, "gpt_oss" | "phi" | "phimoe") {
        fixed.push(("tie_word_embeddings", vec![json!(false)]));
    }
    if model_type == "gpt_oss" {
        fixed.push(("attention_bias", vec![json!(true)]));
        fixed.push(("swiglu_alpha", vec![json!(1.702)]));
        fixed.push(("swiglu_limit", vec![json!(7.0)]));
    }
    fixed
}

/// Fails if a normalized config has a value that its model would ignore. Missing and null mean the default.
///
/// # Errors
/// `ConfigInvalid` with the name of the setting.
pub fn check(model_type: &str, config: &Map<String, Value>) -> Result<()> {
    for (name, accepted) in fixed(model_type) {
        for value in config::with_text(config).filter_map(|config| config.get(name)) {
            let is_equal = |other: &Value| value == other || value.is_number() && value.as_f64() == other.as_f64();
            if !value.is_null() && !accepted.iter().any(is_equal) {
                let accepted: Vec<_> = accepted.iter().map(Value::to_string).collect();
                let message = format!("{value} is not supported by '{model_type}', only {}", accepted.join(", "));
                return Err(config::invalid(name, message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn refused(model_type: &str, config: &Value) -> Option<String> {
        match check(model_type, config.as_object().unwrap()) {
            Ok(()) => None,
            Err(Error::ConfigInvalid { field, .. }) => Some(field),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_that_a_model_would_ignore_are_refused() {
        for (model_type, config) in [
            ("llama", json!({"hidden_act": "gelu"})),
            ("qwen3_vl", json!({"text_config": {"hidden_act": "relu"}})),
            ("phi", json!({"hidden_act": "silu"})),
            ("gemma2", json!({"hidden_activation": "gelu"})),
            ("gemma3_text", json!({"use_bidirectional_attention": true})),
            ("gemma4", json!({"text_config": {"use_bidirectional_attention": "all"}})),
            ("gemma", json!({"attention_bias": true})),
            ("gpt_oss", json!({"swiglu_limit": 6})),
            ("gpt_oss", json!({"attention_bias": false})),
            ("phimoe", json!({"tie_word_embeddings": true})),
        ] {
            assert!(refused(model_type, &config).is_some(), "{model_type} {config}");
        }
    }

    #[test]
    fn what_published_models_say_is_accepted() {
        for (model_type, config) in [
            ("llama", json!({"hidden_act": "silu", "attention_bias": true})),
            ("gemma", json!({"hidden_act": "gelu", "hidden_activation": null})),
            ("gemma", json!({"hidden_activation": "gelu_pytorch_tanh"})),
            ("gemma4", json!({"text_config": {"use_bidirectional_attention": "vision"}})),
            ("gpt_oss", json!({"swiglu_limit": 7, "attention_bias": true, "tie_word_embeddings": false})),
            ("phi", json!({"hidden_act": "gelu_new"})),
            ("phi3", json!({"hidden_act": "silu", "tie_word_embeddings": true})),
        ] {
            assert_eq!(refused(model_type, &config), None, "{model_type} {config}");
        }
    }
}
