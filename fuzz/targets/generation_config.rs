// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Whatever generation_config.json says, a model loads or a typed error says why not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::models;

fuzz_target!(|data: &[u8]| {
    let folder = node_mlx_fuzz::model_with("generation_config.json", data);
    drop(models::load(&folder));
});
