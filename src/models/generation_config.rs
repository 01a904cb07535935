// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! generation_config.json: a model's own sampling defaults and end-of-sequence tokens.

use std::{collections::HashSet, path::Path};

use serde_json::{Map, Value};

use super::config::with_text;
use crate::files::read_json;

const FILE: &str = "generation_config.json";

/// A model's defaults for what the caller leaves out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// Those of generation_config.json, config.json and its `text_config`: what one of them calls an end is meant as one.
    pub eos_token_ids: Vec<u32>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<i32>,
    pub min_p: Option<f32>,
    /// On all tokens of the prompt and the answer. It counts where nothing is sampled, too.
    pub repetition_penalty: Option<f32>,
}

impl GenerationConfig {
    /// Reads the file, if there is one, next to `config`, the model's config.json.
    ///
    /// Impossible values are ignored, and so is a file that cannot be read: the model works without them, and mlx-lm reads
    /// only the end-of-sequence tokens.
    pub fn read(folder: &Path, config: &Map<String, Value>) -> Self {
        let own = read_json(folder, FILE).ok().flatten().unwrap_or_default();
        let (mut eos_token_ids, mut seen) = (Vec::new(), HashSet::new());
        // Python takes 0 for nothing.
        let own_ends = Some(&own).filter(|own| own.get("eos_token_id").and_then(Value::as_i64) != Some(0));
        for id in own_ends.into_iter().chain(with_text(config)).flat_map(eos) {
            if seen.insert(id) {
                eos_token_ids.push(id);
            }
        }
        let number =
            |name: &str, max: f64| own.get(name).and_then(Value::as_f64).filter(|number| (0.0..=max).contains(number));
        let repetition_penalty =
            number("repetition_penalty", 100.0).filter(|penalty| *penalty >= 0.01 && *penalty != 1.0);
        let common =
            Self { eos_token_ids, repetition_penalty: repetition_penalty.map(|value| value as f32), ..Self::default() };
        // transformers samples only where it is told to.
        if own.get("do_sample") == Some(&Value::Bool(false)) {
            return common;
        }
        Self {
            // As in transformers, 1 where sampling is asked for and nothing else is said.
            temperature: number("temperature", 100.0)
                .or_else(|| (own.get("do_sample") == Some(&Value::Bool(true))).then_some(1.0))
                .map(|value| value as f32),
            top_p: number("top_p", 1.0).map(|value| value as f32),
            top_k: number("top_k", f64::from(i32::MAX)).map(|value| value as i32),
            min_p: number("min_p", 1.0).map(|value| value as f32),
            ..common
        }
    }
}

/// Ignores numbers that cannot be token ids.
fn eos(config: &Map<String, Value>) -> Vec<u32> {
    let ids = match config.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.as_slice(),
        Some(id) => std::slice::from_ref(id),
        None => &[],
    };
    ids.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn read(own: &Value, config: &Value) -> GenerationConfig {
        let folder = std::env::temp_dir().join(format!("node-mlx-generation-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(FILE), own.to_string()).unwrap();
        let read = GenerationConfig::read(&folder, config.as_object().unwrap());
        fs::remove_dir_all(&folder).unwrap();
        read
    }

    #[test]
    fn all_files_say_which_tokens_end_an_answer() {
        let config = json!({"eos_token_id": [2, 3], "text_config": {"eos_token_id": 4}});
        assert_eq!(read(&json!({"eos_token_id": [3, 1]}), &config).eos_token_ids, [3, 1, 2, 4]);
        assert_eq!(read(&json!({"eos_token_id": 0}), &config).eos_token_ids, [2, 3, 4]);
    }

    #[test]
    fn sampling_without_a_temperature_means_1() {
        let temperature = |own: Value| read(&own, &json!({})).temperature;
        assert_eq!(temperature(json!({"do_sample": true})), Some(1.0));
        assert_eq!(temperature(json!({"do_sample": true, "temperature": 0.5})), Some(0.5));
        assert_eq!(temperature(json!({"do_sample": false, "temperature": 0.5})), None);
        assert_eq!(temperature(json!({})), None);
    }

    #[test]
    fn a_penalty_counts_without_sampling_too() {
        let penalty = |own: Value| read(&own, &json!({})).repetition_penalty;
        assert_eq!(penalty(json!({"do_sample": true, "repetition_penalty": 1.05})), Some(1.05));
        assert_eq!(penalty(json!({"do_sample": false, "repetition_penalty": 1.05})), Some(1.05));
        for none in [json!(1), json!(0), json!(-2), json!("1.1")] {
            assert_eq!(penalty(json!({ "repetition_penalty": none })), None);
        }
    }
}
