// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A model of any architecture with another config.json: it loads and makes a step, or a typed error says why not.

#![no_main]

use std::{collections::HashMap, fs, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use mlx_rs::{Array, transforms};
use node_mlx::{
    error::{Error, Result},
    models::{self, LoadedModel},
};
use serde_json::{Map, Value};

const FILE: &str = "config.json";
/// More than any model has.
const MAX_VOCABULARY: usize = 1 << 24;

/// A folder with small weights for each `model_type`.
static FOLDERS: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
    let fixtures = fs::read_dir(node_mlx_fuzz::fixture("")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders = HashMap::new();
    for fixture in fixtures.filter(|fixture| fixture.join("model.safetensors").exists()) {
        let config: Value = serde_json::from_slice(&fs::read(fixture.join(FILE)).unwrap()).unwrap();
        let name = fixture.file_name().unwrap().to_str().unwrap();
        if !name.ends_with("-4bit") && name != "llama" {
            continue;
        }
        let folder = node_mlx_fuzz::folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(fixture.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
        folders.insert(config["model_type"].as_str().unwrap().to_owned(), folder);
    }
    folders
});

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let config: Map<String, Value> = serde_json::from_slice(data).unwrap_or_default();
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let folder = FOLDERS.get(model_type).unwrap_or(&FOLDERS["llama"]);
    fs::write(folder.join(FILE), data).unwrap();
    match models::load(folder, None).and_then(try_out) {
        Err(Error::Internal { message }) => panic!("{message}"),
        Ok(()) | Err(_) => {}
    }
});

/// Makes a prompt's pass and a step.
fn try_out(LoadedModel { model, info, .. }: LoadedModel) -> Result<()> {
    assert!((1..=MAX_VOCABULARY).contains(&info.vocab_size));
    assert!(info.context_length > 0);
    assert!(info.parameter_count > 0 && info.weight_bytes > 0);
    let mut cache = model.make_prompt_cache(None);
    let mut logits = Vec::new();
    for tokens in [&[0, 0, 0][..], &[0]] {
        let tokens = Array::from_slice(tokens, &[1, tokens.len() as i32]);
        logits.push(model.forward(&tokens, &mut cache)?);
    }
    assert!(logits.iter().all(|logits| logits.shape().last() == Some(&(info.vocab_size as i32))));
    Ok(transforms::eval(&logits)?)
}
