// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/pixtral.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Pixtral: a multimodal wrapper around Llama, of which the text model is used.

use serde_json::{Map, Value};

use super::{
    config,
    llama::{self, Llama},
    mistral3,
};
use crate::{error::Result, weights::Weights};

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama> {
    let mut text = config::text_config(config)?;
    text.entry("num_attention_heads").or_insert(Value::from(32));
    llama::load(&text, &mistral3::text_model(w))
}
