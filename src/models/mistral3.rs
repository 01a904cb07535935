// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mistral3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: Mistral 4 as the text model, `model.language_model` in names of tensors.

//! Mistral 3: the text model of a multimodal one.

use serde_json::{Map, Value};

use super::{Model, boxed, config, llama::Llama, ministral3::Ministral3, mistral4::Mistral4};
use crate::{error::Result, weights::Weights};

/// A text model's tensors; those of the vision model are dropped.
pub fn language_model<'a>(w: &Weights<'a>) -> Weights<'a> {
    w.retain(|name| !name.contains("vision_tower") && !name.contains("multi_modal_projector"));
    w.rename(|name| match name.strip_prefix("model.language_model.") {
        Some(rest) => Some(format!("language_model.model.{rest}")),
        None => (!name.starts_with("language_model.")).then(|| format!("language_model.{name}")),
    });
    w.pp("language_model")
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Box<dyn Model>> {
    let mut text = config::text_config(config)?;
    text.entry("tie_word_embeddings").or_insert(Value::Bool(false));
    let w = language_model(w);
    match text.get("model_type").and_then(Value::as_str) {
        Some("ministral3") => boxed(Ministral3::new(&text, &w)),
        Some("mistral4") => boxed(Mistral4::new(&text, &w)),
        _ => boxed(Llama::new(&text, &w)),
    }
}
