// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/models/smollm3.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! SmolLM3: Llama without positions in some layers.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    config,
    llama::{self, Llama},
};
use crate::{error::Result, weights::Weights};

/// The fields that Llama does not have.
#[derive(Debug, Deserialize)]
struct ModelArgs {
    num_hidden_layers: i32,
    #[serde(default = "four")]
    no_rope_layer_interval: usize,
    /// For each layer, whether it has rotary positions, despite the name.
    no_rope_layers: Option<Vec<i32>>,
}

fn four() -> usize {
    4
}

pub fn load(config: &Map<String, Value>, w: &Weights) -> Result<Llama> {
    let args: ModelArgs = config::parse(config)?;
    config::check_length("no_rope_layers", args.no_rope_layers.as_deref(), args.num_hidden_layers)?;
    match args.no_rope_layers {
        Some(layers) => {
            llama::load_with_rope_where(config, w, |i| layers.get(i).is_some_and(|use_rope| *use_rope != 0))
        }
        None if args.no_rope_layer_interval == 0 => Err(config::invalid("no_rope_layer_interval", "is 0")),
        None => llama::load_with_rope_where(config, w, |i| (i + 1) % args.no_rope_layer_interval != 0),
    }
}
