// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The rotation that a normalized config asks for, read in one way for all families: a setting that one of them does not
//! look at would change its numbers without a word.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    config,
    normalize::{is_long_rope, kind},
};
use crate::{error::Result, nn::Rope};

#[derive(Debug, Deserialize)]
struct Settings {
    rope_theta: Option<f32>,
    rope_local_base_freq: Option<f32>,
    rope_traditional: Option<bool>,
    rope_scaling: Option<Map<String, Value>>,
    partial_rotary_factor: Option<f64>,
    max_position_embeddings: Option<i32>,
    original_max_position_embeddings: Option<i32>,
}

/// What a family rotates by where the config does not say.
#[derive(Debug, Clone, Copy)]
pub struct Rotary {
    /// Features of a head.
    pub head_dim: i32,
    /// The base; `None` if it has to be given.
    pub theta: Option<f32>,
    pub partial_rotary_factor: f64,
    pub traditional: bool,
    pub max_position_embeddings: Option<i32>,
    /// Whether `short_mscale` and `long_mscale` of LongRoPE count.
    pub has_mscales: bool,
}

impl Rotary {
    /// All features, by halves.
    pub fn new(head_dim: i32, theta: impl Into<Option<f32>>) -> Self {
        Self {
            head_dim,
            theta: theta.into(),
            partial_rotary_factor: 1.0,
            traditional: false,
            max_position_embeddings: None,
            has_mscales: false,
        }
    }

    /// # Errors
    /// `ConfigInvalid` for an unknown kind of scaling, or a setting that is missing or impossible.
    pub fn rope(&self, config: &Map<String, Value>) -> Result<Rc<Rope>> {
        self.rotated(config::parse(config)?)
    }

    /// The rotation of layers with a sliding window, for families in which it differs: `rope_local_base_freq`, and no scaling
    /// but what `rope_parameters` has for them.
    ///
    /// # Errors
    /// As `rope`.
    pub fn local_rope(&self, config: &Map<String, Value>) -> Result<Rc<Rope>> {
        let mut given: Settings = config::parse(config)?;
        let nested = config.get("rope_parameters").and_then(|parameters| parameters.get("sliding_attention"));
        given.rope_scaling = nested.and_then(Value::as_object).cloned();
        const NAME: &str = "rope_local_base_freq";
        let base = given.rope_local_base_freq.or(self.theta).ok_or_else(|| config::invalid(NAME, "is missing"))?;
        config::check_positive(NAME, base)?;
        given.rope_theta = Some(base);
        self.rotated(given)
    }

    fn rotated(&self, given: Settings) -> Result<Rc<Rope>> {
        let theta = given.rope_theta.or(self.theta).ok_or_else(|| config::invalid("rope_theta", "is missing"))?;
        config::check_positive("rope_theta", theta)?;
        let share = given.partial_rotary_factor.unwrap_or(self.partial_rotary_factor);
        let dims = config::rotary_dims(self.head_dim, share)?;
        let mut scaling = given.rope_scaling.filter(|scaling| !scaling.is_empty());
        if let Some(scaling) = &mut scaling {
            if let Some(original) = given.original_max_position_embeddings {
                const NAME: &str = "original_max_position_embeddings";
                config::check_sizes(&[(NAME, original)])?;
                scaling.entry(NAME).or_insert(Value::from(original));
            }
            scaling.retain(|name, _| self.has_mscales || !matches!(name.as_str(), "short_mscale" | "long_mscale"));
        }
        let max_position_embeddings = given.max_position_embeddings.or(self.max_position_embeddings);
        if let Some(max) = max_position_embeddings {
            config::check_sizes(&[("max_position_embeddings", max)])?;
        }
        let traditional = given.rope_traditional.unwrap_or(self.traditional);
        Ok(Rc::new(Rope::new(dims, theta, traditional, scaling.as_ref(), max_position_embeddings)?))
    }
}

/// Number of tokens beyond which a text is rotated in another way from its first token on.
pub fn long_rope_limit(config: &Map<String, Value>) -> Option<usize> {
    config::with_text(config).find_map(|config| {
        config.get("rope_scaling")?.as_object().filter(|scaling| is_long_rope(scaling))?;
        usize::try_from(config.get("original_max_position_embeddings")?.as_u64()?).ok()
    })
}

/// Number of tokens beyond which the rotation changes with the length of the text.
pub fn dynamic_rope_limit(config: &Map<String, Value>) -> Option<usize> {
    config::with_text(config).find_map(|config| {
        config.get("rope_scaling")?.as_object().filter(|scaling| kind(scaling) == Some("dynamic"))?;
        usize::try_from(config.get("max_position_embeddings")?.as_u64()?).ok()
    })
}

/// Number of tokens that a model can attend to, as its scaling extends `max_position_embeddings`; `None` if the config does
/// not say.
pub fn context_length(config: &Map<String, Value>) -> Option<usize> {
    config::with_text(config).rev().find_map(|config| {
        let length = config.get("max_position_embeddings")?.as_u64()? as f64;
        let scaling = config.get("rope_scaling").and_then(Value::as_object);
        let number = |name| scaling?.get(name)?.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        let factor = number("factor").unwrap_or(1.0);
        let is_gemma3 = config.get("model_type").and_then(Value::as_str).is_some_and(|name| name.starts_with("gemma3"));
        let extended = match scaling.and_then(kind) {
            // Gemma 3's is the whole length already, and so is that of kinds which are not named here.
            Some("linear" | "dynamic") if !is_gemma3 => length * factor,
            Some("yarn") => length.max(number("original_max_position_embeddings").unwrap_or(length) * factor),
            _ => length,
        };
        Some(extended as usize)
    })
}

#[cfg(test)]
mod tests {
    use mlx_rs::Array;
    use serde_json::json;

    use super::*;
    use crate::{mlx, models::normalize::normalize, nn::TextLength};

    fn config(value: Value) -> Map<String, Value> {
        normalize(value.as_object().unwrap().clone()).unwrap()
    }

    /// Ones at position 9, rotated.
    fn rotated(value: Value) -> Vec<f32> {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let x = Array::from_slice(&[1.0f32; 8], &[1, 1, 1, 8]);
        let rotary = Rotary::new(8, 10_000.0);
        rotary.rope(&config(value)).unwrap().forward(&x, 9).unwrap().to_vec_exact().unwrap()
    }

    #[test]
    fn nested_settings_mean_the_same_as_flat_ones() {
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 16});
        let flat = rotated(json!({"rope_theta": 500.0, "rope_scaling": scaling, "partial_rotary_factor": 0.5}));
        let mut nested = scaling.clone();
        nested["rope_theta"] = json!(500.0);
        nested["partial_rotary_factor"] = json!(0.5);
        assert_eq!(rotated(json!({ "rope_parameters": nested })), flat);
        assert_ne!(rotated(json!({"rope_scaling": scaling, "partial_rotary_factor": 0.5})), flat);
        assert_ne!(rotated(json!({"rope_theta": 500.0, "partial_rotary_factor": 0.5})), flat);
        assert_ne!(rotated(json!({"rope_theta": 500.0, "rope_scaling": scaling})), flat);
    }

    #[test]
    fn layers_with_a_window_may_be_scaled_in_another_way() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let rotated = |value: Value, is_sliding: bool| -> Vec<f32> {
            let (rotary, config) = (Rotary::new(8, 10_000.0), config(value));
            let rope = if is_sliding { rotary.local_rope(&config) } else { rotary.rope(&config) };
            let x = Array::from_slice(&[1.0f32; 8], &[1, 1, 1, 8]);
            rope.unwrap().forward(&x, 9).unwrap().to_vec_exact().unwrap()
        };
        let flat = json!({
            "rope_theta": 5000.0, "rope_local_base_freq": 300.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        });
        let nested = |sliding: Value| {
            json!({"rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5000.0},
                "sliding_attention": sliding,
            }})
        };
        let plain = nested(json!({"rope_type": "default", "rope_theta": 300.0}));
        for is_sliding in [false, true] {
            assert_eq!(rotated(plain.clone(), is_sliding), rotated(flat.clone(), is_sliding));
            assert_ne!(rotated(plain.clone(), is_sliding), rotated(json!({}), is_sliding));
        }
        let scaled = nested(json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0}));
        assert_ne!(rotated(scaled.clone(), true), rotated(plain.clone(), true));
        assert_eq!(rotated(scaled, false), rotated(plain, false));
    }

    #[test]
    fn long_rope_has_factors_for_short_and_for_long_texts() {
        let with = |short: f64, long: f64, original: i32| {
            let (short, long) = (vec![short; 4], vec![long; 4]);
            let scaling = json!({"rope_type": "longrope", "short_factor": short, "long_factor": long});
            rotated(json!({
                "rope_scaling": scaling, "original_max_position_embeddings": original, "max_position_embeddings": 64,
            }))
        };
        assert_eq!(with(2.0, 3.0, 10), with(2.0, 2.0, 10));
        assert_eq!(with(2.0, 3.0, 9), with(3.0, 3.0, 9));
        assert_ne!(with(2.0, 3.0, 10), with(3.0, 3.0, 10));
        // The first tokens of a text that will be long are those of a long one.
        let _length = TextLength::of(11);
        assert_eq!(with(2.0, 3.0, 10), with(3.0, 3.0, 10));
    }

    #[test]
    fn yarn_may_keep_the_bounds_of_its_ramp() {
        let with = |truncate: Value, attention_factor: Value| {
            let scaling = json!({
                "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
                "truncate": truncate, "attention_factor": attention_factor,
            });
            rotated(json!({"rope_theta": 100.0, "rope_scaling": scaling}))
        };
        let usual = with(Value::Null, Value::Null);
        assert_eq!(with(json!(true), Value::Null), usual);
        assert_ne!(with(json!(false), Value::Null), usual);
        assert_ne!(with(Value::Null, json!(2.0)), usual);
    }

    #[test]
    fn scaling_extends_the_context() {
        let length = |scaling: Value, model_type: &str| {
            context_length(&config(json!({
                "model_type": model_type, "max_position_embeddings": 100, "rope_scaling": scaling,
            })))
        };
        for (scaling, tokens) in [
            (Value::Null, 100),
            (json!({"type": "linear", "factor": 2.0}), 200),
            (json!({"rope_type": "dynamic", "factor": 3}), 300),
            (json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 50}), 200),
            (json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 10}), 100),
            (json!({"rope_type": "llama3", "factor": 8.0}), 100),
            (json!({"rope_type": "linear", "factor": -1.0}), 100),
        ] {
            assert_eq!(length(scaling.clone(), "llama"), Some(tokens), "{scaling}");
        }
        assert_eq!(length(json!({"rope_type": "linear", "factor": 8.0}), "gemma3_text"), Some(100));
        assert_eq!(context_length(&config(json!({"text_config": {"max_position_embeddings": 7}}))), Some(7));
        assert_eq!(context_length(&Map::new()), None);
    }
}
