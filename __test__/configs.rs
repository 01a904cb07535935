// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A config.json that is wrong in one place, for every place of every architecture: the model is refused by a clear error,
//! or it loads and runs. Never a panic, an abort, or an error of MLX's that nobody foresaw.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use mlx_rs::Array;
use node_mlx::{
    error::{Error, Result},
    mlx, models,
};
use serde_json::{Value, json};

/// Loads a model and makes a prompt's pass and a step.
fn try_out(folder: &Path) -> Result<()> {
    let model = models::load(folder, None)?.model;
    let mut cache = model.make_prompt_cache(None);
    for tokens in [&[1, 2, 3][..], &[4]] {
        let tokens = Array::from_slice(tokens, &[1, tokens.len() as i32]);
        model.forward(&tokens, &mut cache)?.eval()?;
    }
    Ok(())
}

/// Paths of all numbers, booleans, strings and lists in a config, but for quantization, which has tests of its own.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !key.starts_with("quantization")) {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Null => {}
        _ => found.push(path.to_owned()),
    }
    if !path.is_empty() && value.is_object() {
        found.push(path.to_owned());
    }
}

fn wrong_values(right: &Value) -> Vec<Value> {
    let mut values = vec![json!(null), json!("x")];
    if right.is_number() {
        values.extend([json!(0), json!(-1), json!(3), json!(1_000_000)]);
    }
    if let Value::Array(list) = right {
        values.extend([json!([]), json!(list.get(..1)), json!(["x"]), json!([-1, 1_000_000])]);
    }
    values
}

#[test]
fn a_wrong_config_is_refused_or_runs() {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("__test__/fixtures");
    let scratch = std::env::temp_dir().join(format!("node-mlx-configs-{}", std::process::id()));
    let mut failures = Vec::new();
    let mut tried = 0;
    let mut names: Vec<String> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // one of each architecture, with the layout that its checkpoints have
    names.retain(|name| ["-raw", "-4bit", "-mxfp4"].iter().any(|kind| name.ends_with(kind)));
    names.sort();
    for name in names {
        fs::create_dir_all(&scratch).unwrap();
        fs::copy(root.join(&name).join("model.safetensors"), scratch.join("model.safetensors")).unwrap();
        let config: Value = serde_json::from_slice(&fs::read(root.join(&name).join("config.json")).unwrap()).unwrap();
        let mut paths = Vec::new();
        places(&config, "", &mut paths);
        for path in paths {
            for wrong in wrong_values(config.pointer(&path).unwrap()) {
                let mut config = config.clone();
                *config.pointer_mut(&path).unwrap() = wrong.clone();
                fs::write(scratch.join("config.json"), config.to_string()).unwrap();
                tried += 1;
                let problem = match catch_unwind(AssertUnwindSafe(|| try_out(&scratch))) {
                    Ok(Err(Error::Internal { message })) => message,
                    Ok(_) => continue,
                    Err(_) => "panic".to_owned(),
                };
                failures.push(format!("{name}: {path} = {wrong}: {problem}"));
            }
        }
        fs::remove_dir_all(&scratch).unwrap();
    }
    assert!(failures.is_empty(), "{} of {tried}:\n{}", failures.len(), failures.join("\n"));
    assert!(tried > 1000, "{tried}");
}
