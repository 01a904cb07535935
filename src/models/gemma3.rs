// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 3 with vision; only the text model is used.

use serde_json::{Map, Value, json};

use super::{
    common::language_model,
    config,
    gemma3_text::{self, Gemma3Text},
};
use crate::{error::Result, weights::Weights};

/// Builds the text model. The defaults of its config differ from those of a text-only Gemma 3, and the vocabulary size is
/// the wrapper's, if that has one.
pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Gemma3Text> {
    let mut text = config::text_config(config)?;
    let given = |configs: &[&Map<String, Value>], name: &str, default: i32| {
        let values = configs.iter().filter_map(|config| config.get(name));
        values.into_iter().find(|value| !value.is_null()).cloned().unwrap_or_else(|| json!(default))
    };
    for (name, value) in [
        ("vocab_size", given(&[config, &text], "vocab_size", 262_208)),
        ("num_attention_heads", given(&[&text], "num_attention_heads", 8)),
        ("num_key_value_heads", given(&[&text], "num_key_value_heads", 4)),
    ] {
        text.insert(name.to_owned(), value);
    }
    let w = language_model(w, |name| {
        let name = name.strip_prefix("model.").unwrap_or(name);
        name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.")
    });
    gemma3_text::load(&text, &w)
}
