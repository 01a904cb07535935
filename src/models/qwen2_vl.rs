// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/qwen2_vl.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: both towers may lie under `model`.

//! The text model of Qwen2-VL and Qwen2.5-VL. Text has the same position on all three axes of their RoPE, which therefore
//! equals plain RoPE.

use serde_json::{Map, Value};

use super::{
    common::language_model,
    config,
    qwen2::{self, Qwen2},
};
use crate::{error::Result, weights::Weights};

/// Returns the text model's part of a config, or all of an older config without parts.
///
/// mlx-lm reads `tie_word_embeddings` from the part only, but most Qwen3-VL have it at the top level only.
fn text_config(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    if !config.contains_key("text_config") {
        return Ok(config.clone());
    }
    let mut text = config::text_config(config)?;
    if let Some(tied) = config.get("tie_word_embeddings") {
        text.entry("tie_word_embeddings").or_insert_with(|| tied.clone());
    }
    Ok(text)
}

/// Returns the text model's config, and its weights renamed to `language_model`.
pub fn text_model<'a>(config: &Map<String, Value>, w: &Weights<'a>) -> Result<(Map<String, Value>, Weights<'a>)> {
    let vision = ["visual.", "vision_tower.", "model.visual."];
    let w = language_model(w, |name| vision.iter().any(|prefix| name.starts_with(prefix)));
    Ok((text_config(config)?, w))
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Qwen2> {
    let (text, w) = text_model(config, w)?;
    qwen2::load(&text, &w)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ties_are_looked_for_in_the_whole_config_too() {
        let tied = |config: Value| text_config(config.as_object().unwrap()).unwrap().remove("tie_word_embeddings");
        assert_eq!(tied(json!({"tie_word_embeddings": false})), Some(json!(false)));
        assert_eq!(tied(json!({"text_config": {}, "tie_word_embeddings": false})), Some(json!(false)));
        let both = json!({"text_config": {"tie_word_embeddings": true}, "tie_word_embeddings": false});
        assert_eq!(tied(both), Some(json!(true)));
        assert_eq!(tied(json!({"text_config": {}})), None);
    }
}
