// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/tokenization_utils_tokenizers.py
// Git Tag: v5.23.0

//! Folders without tokenizer.json.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::FILE;
use super::class::Class;
use crate::error::{Error, Result};
use crate::files::read_text;
use crate::limits::TOKENIZER_BYTES;

const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
/// Endings of tokenizer files that are not supported.
const FOREIGN: [&str; 5] = [".model", ".tiktoken", "tekken.json", VOCAB, "vocab.txt"];

/// Returns a tokenizer.json made from vocab.json and merges.txt, for classes that supply everything else.
pub fn tokenizer_json(dir: &Path, class: Class) -> Result<String> {
    let read = |file: &str| {
        let path = dir.join(file);
        read_text(&path, TOKENIZER_BYTES).map_err(|message| Error::TokenizerInvalid { path, message })
    };
    if !class.is_byte_level() {
        return Err(missing(dir));
    }
    let (Some(vocab), Some(merges)) = (read(VOCAB)?, read(MERGES)?) else {
        return Err(missing(dir));
    };
    let vocab: Map<String, Value> = serde_json::from_str(&vocab)
        .map_err(|error| Error::TokenizerInvalid { path: dir.join(VOCAB), message: error.to_string() })?;
    let merges: Vec<&str> = merges.lines().filter(|line| !line.starts_with("#version")).collect();
    Ok(json!({ "model": { "type": "BPE", "vocab": vocab, "merges": merges } }).to_string())
}

fn missing(dir: &Path) -> Error {
    let path = dir.to_owned();
    let files = dir.read_dir().into_iter().flatten().flatten().filter_map(|file| file.file_name().into_string().ok());
    match files.filter(|file| FOREIGN.iter().any(|end| file.ends_with(end))).min() {
        Some(file) => Error::TokenizerUnconverted { path, file },
        None => Error::ModelFileMissing { path, file: FILE.to_owned() },
    }
}
