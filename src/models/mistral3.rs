// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/mistral3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: Mistral 4 as the text model, `model.language_model` in names of tensors.

//! Mistral 3 and Llava: a multimodal wrapper around Llama, Ministral 3 or Mistral 4, of which the text model is used.

use serde_json::{Map, Value};

use super::{Model, boxed, common::language_model, config, llama, ministral3, mistral4};
use crate::{error::Result, weights::Weights};

/// Keeps the tensors of the text model; those of the vision model are dropped.
pub fn text_model<'a>(w: &Weights<'a>) -> Weights<'a> {
    language_model(w, |name| name.contains("vision_tower") || name.contains("multi_modal_projector"))
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Box<dyn Model>> {
    let text = config::text_config(config)?;
    let w = text_model(w);
    match text.get("model_type").and_then(Value::as_str) {
        Some("ministral3") => boxed(ministral3::load(&text, &w)),
        Some("mistral4") => boxed(mistral4::load(&text, &w)),
        _ => boxed(llama::load(&text, &w)),
    }
}
