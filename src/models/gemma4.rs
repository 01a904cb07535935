// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/gemma4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Gemma 4 with its vision and audio parts, of which only the text model runs.

use serde_json::{Map, Value};

use super::{common::language_model, config, gemma4_text::Gemma4Text};
use crate::{error::Result, weights::Weights};

const OTHER_PARTS: &[&str] =
    &["vision_tower", "multi_modal_projector", "audio_tower", "embed_audio", "embed_vision", "vision_embedder"];

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Gemma4Text> {
    let mut text = config::text_config(config)?;
    if let Some(vocab_size) = config.get("vocab_size").filter(|size| !size.is_null()) {
        text.insert("vocab_size".to_owned(), vocab_size.clone());
    }
    let w = language_model(w, |name| {
        let name = name.strip_prefix("model.").unwrap_or(name);
        OTHER_PARTS.iter().any(|part| name.starts_with(part))
    });
    Gemma4Text::new(&text, &w)
}
