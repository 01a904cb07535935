// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Settings that transformers computes with and our models do not read, because all published models of a family agree on
//! them. Another value is refused: the model would load, and give other numbers.

use serde_json::{Map, Value, json};

use super::config;
use crate::error::Result;

/// Names of the SiLU.
const SILU: &[&str] = &["silu", "swish"];
/// Names of the GELU with a hyperbolic tangent.
const GELU: &[&str] = &["gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_python_tanh"];
/// The first Gemma's configs say `gelu` and mean the other one.
const GEMMA_GELU: &[&str] = &["gelu_pytorch_tanh", "gelu_new", "gelu_fast", "gelu_python_tanh", "gelu"];

/// What a model computes with whatever its config says: names of settings, and their values.
fn fixed(model_type: &str) -> Vec<(&'static str, Vec<Value>)> {
    let is_gemma = model_type.starts_with("gemma");
    let (name, activations) = match model_type {
        "gemma" => ("hidden_act", GEMMA_GELU),
        "phi" => ("hidden_act", GELU),
        _ if is_gemma => ("hidden_activation", GELU),
        _ => ("hidden_act", SILU),
    };
    let mut fixed = vec![(name, activations.iter().map(|name| json!(name)).collect())];
    // As some embedders say. Images are seen from both sides; a text is not.
    fixed.push(("use_bidirectional_attention", vec![json!(false), json!("vision")]));
    fixed.push(("is_causal", vec![json!(true)]));
    if is_gemma {
        fixed.push(("attention_bias", vec![json!(false)]));
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

/// Fails if a normalized config has a value that its model would ignore. Missing and null mean the usual one.
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
        for (model_type, name, value) in [
            ("llama", "hidden_act", json!("gelu")),
            ("qwen3_vl", "hidden_act", json!("relu")),
            ("phi", "hidden_act", json!("silu")),
            ("gemma2", "hidden_activation", json!("gelu")),
            ("gemma3_text", "use_bidirectional_attention", json!(true)),
            ("qwen2", "is_causal", json!(false)),
            ("gemma4", "use_bidirectional_attention", json!("all")),
            ("gemma", "attention_bias", json!(true)),
            ("gpt_oss", "swiglu_limit", json!(6)),
            ("gpt_oss", "swiglu_alpha", json!(1.7)),
            ("gpt_oss", "attention_bias", json!(false)),
            ("phimoe", "tie_word_embeddings", json!(true)),
            ("gemma3n", "tie_word_embeddings", json!(false)),
        ] {
            let (config, wrapped) = (json!({ name: value }), json!({"text_config": { name: value }}));
            assert_eq!(refused(model_type, &config).as_deref(), Some(name), "{model_type} {value}");
            assert_eq!(refused(model_type, &wrapped).as_deref(), Some(name), "{model_type} {value}");
        }
    }

    #[test]
    fn what_published_models_say_is_accepted() {
        for (model_type, config) in [
            ("llama", json!({"hidden_act": "silu", "attention_bias": true})),
            ("gemma", json!({"hidden_act": "gelu", "hidden_activation": null})),
            ("gemma2", json!({"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"})),
            ("gemma4", json!({"text_config": {"use_bidirectional_attention": "vision"}})),
            ("gpt_oss", json!({"swiglu_limit": 7, "attention_bias": true, "tie_word_embeddings": false})),
            ("phi", json!({"hidden_act": "gelu_new"})),
            ("phi3", json!({"hidden_act": "silu", "tie_word_embeddings": true})),
        ] {
            assert_eq!(refused(model_type, &config), None, "{model_type} {config}");
        }
    }
}
