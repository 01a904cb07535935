// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    mlx,
    models::{check_folder, gemma3_text, gpt_oss, llama, normalize::normalize},
    nn::rope::COMPUTED,
    weights::{QuantizationConfig, Store, Weights},
};

/// Returns how often a model computes RoPE wavelengths while it is built. Placeholders replace tensors that the fixture
/// lacks.
fn wavelengths_computed<M>(
    fixture: &str,
    changes: Value,
    load: fn(&Map<String, Value>, &Weights) -> crate::error::Result<M>,
) -> usize {
    let folder = Path::new("__test__/fixtures").join(fixture);
    let mut config = check_folder(&folder).unwrap();
    let quantization = QuantizationConfig::read(&folder, &config).unwrap();
    config.extend(changes.as_object().unwrap().clone());
    let store = Store::open(&folder, quantization, None).unwrap();
    COMPUTED.set(0);
    load(&normalize(config).unwrap(), &store.root()).unwrap();
    COMPUTED.get()
}

#[test]
fn rope_frequencies_are_computed_once_per_model() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let layers = serde_json::json!({ "num_hidden_layers": 32 });
    assert_eq!(wavelengths_computed("llama-rope-llama3", layers.clone(), llama::load), 1);
    let alternating = serde_json::json!({ "num_hidden_layers": 32, "layer_types": null });
    assert_eq!(wavelengths_computed("gpt_oss-mxfp4", alternating, gpt_oss::load), 1);
    // Gemma 3 has two kinds of layers.
    let llama3 = serde_json::json!({ "rope_type": "llama3", "factor": 8.0 });
    let nested = serde_json::json!({
        "num_hidden_layers": 32, "rope_scaling": null,
        "rope_parameters": { "full_attention": llama3, "sliding_attention": llama3 },
    });
    assert_eq!(wavelengths_computed("gemma3_text-4bit", nested, gemma3_text::load), 2);
}
