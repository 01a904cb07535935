// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! generation_config.json: a model's own sampling defaults and end-of-sequence tokens.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    models::config::read_json,
};

const FILE: &str = "generation_config.json";

/// What a model asks for where a caller does not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// The union of config.json's and generation_config.json's.
    pub eos_token_ids: Vec<u32>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i32>,
    pub min_p: Option<f32>,
}

impl GenerationConfig {
    /// Reads the file, if there is one, next to `config`, the model's config.json.
    ///
    /// # Errors
    /// `ConfigInvalid` for values that cannot be.
    pub fn read(folder: &Path, config: &Map<String, Value>) -> Result<Self> {
        let own = read_json(folder, FILE)?.unwrap_or_default();
        let mut eos_token_ids = eos(config, "config.json")?;
        for id in eos(&own, FILE)? {
            if !eos_token_ids.contains(&id) {
                eos_token_ids.push(id);
            }
        }
        // transformers samples only where it is told to.
        if own.get("do_sample") == Some(&Value::Bool(false)) {
            return Ok(Self { eos_token_ids, ..Self::default() });
        }
        let number = |name: &str, max: f64| match own.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| (0.0..=max).contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(Error::config(FILE, name, format!("{value} is not between 0 and {max}"))),
            },
        };
        Ok(Self {
            eos_token_ids,
            temperature: number("temperature", 100.0)?.map(|value| value as f32),
            top_p: number("top_p", 1.0)?.map(|value| value as f32),
            top_k: number("top_k", f64::from(i32::MAX))?.map(|value| value as i32),
            min_p: number("min_p", 1.0)?.map(|value| value as f32),
        })
    }
}

fn eos(config: &Map<String, Value>, file: &str) -> Result<Vec<u32>> {
    let id = |value: &Value| {
        value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(|| Error::config(file, "eos_token_id", format!("{value} is not a token id")))
    };
    match config.get("eos_token_id") {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Array(values)) => values.iter().map(id).collect(),
        Some(value) => Ok(vec![id(value)?]),
    }
}
