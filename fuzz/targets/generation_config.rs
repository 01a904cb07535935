// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! generation_config.json: defaults that a caller could have asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::models::GenerationConfig;
use serde_json::Map;

const FILE: &str = "generation_config.json";

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let folder = node_mlx_fuzz::folder_with(FILE, data);
    let config = GenerationConfig::read(folder, &Map::new());
    let lies_in = |value: Option<f32>, max| value.is_none_or(|value| (0.0..=max).contains(&value));
    assert!(lies_in(config.temperature, 100.0));
    assert!(lies_in(config.top_p, 1.0));
    assert!(lies_in(config.min_p, 1.0));
    assert!(config.top_k.is_none_or(|top_k| top_k >= 0));
});
