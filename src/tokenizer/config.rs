// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! tokenizer_config.json, and the chat templates that lie beside it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

const FILE: &str = "tokenizer_config.json";
const MAX_SIZE: u64 = 64 << 20;

/// What is used of tokenizer_config.json.
#[derive(Debug, Default)]
pub struct Config {
    /// `bos_token`, `eos_token` and the like, as templates see them.
    pub special_tokens: Map<String, Value>,
    /// The chat template, and the one for conversations with tools if there are two.
    pub template: Option<String>,
    pub tool_template: Option<String>,
    /// The name of mlx-lm's parser for tool calls, where the file says so.
    pub tool_parser: Option<String>,
}

impl Config {
    /// Reads the folder's files; all of them may be missing.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let config = read_json(dir, FILE)?;
        let mut this = Self {
            special_tokens: special_tokens(&config),
            tool_parser: config.get("tool_parser_type").and_then(Value::as_str).map(str::to_owned),
            ..Self::default()
        };
        let templates = match config.get("chat_template") {
            None | Some(Value::Null) => {
                read_json(dir, "chat_template.json")?.remove("chat_template").unwrap_or_default()
            }
            Some(template) => template.clone(),
        };
        this.take_templates(templates);
        if let Some(template) = read_text(&dir.join("chat_template.jinja"), MAX_SIZE)
            .map_err(|message| Error::config("chat_template.jinja", "text", message))?
        {
            this.template = Some(template);
        }
        Ok(this)
    }

    fn take_templates(&mut self, templates: Value) {
        match templates {
            Value::String(template) => self.template = Some(template),
            Value::Array(named) => {
                for entry in &named {
                    let template = entry.get("template").and_then(Value::as_str);
                    match entry.get("name").and_then(Value::as_str) {
                        Some("default") => self.template = template.map(str::to_owned),
                        Some("tool_use") => self.tool_template = template.map(str::to_owned),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The text of a file, without a byte order mark; `None` if there is no such file.
pub fn read_text(path: &Path, max_size: u64) -> Result<Option<String>, String> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(None);
    };
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(max_size + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > max_size {
        return Err(format!("it is larger than {} MB", max_size >> 20));
    }
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }))
}

fn read_json(dir: &Path, file: &str) -> Result<Map<String, Value>> {
    let invalid = |message: String| Error::config(file, "JSON", message);
    match read_text(&dir.join(file), MAX_SIZE).map_err(invalid)? {
        Some(text) => serde_json::from_str(&text).map_err(|error| invalid(error.to_string())),
        None => Ok(Map::new()),
    }
}

/// Every `…_token`, written as a string or as an object with its content.
fn special_tokens(config: &Map<String, Value>) -> Map<String, Value> {
    let token = |value: &Value| match value {
        Value::String(_) => Some(value.clone()),
        _ => value.get("content").filter(|content| content.is_string()).cloned(),
    };
    config
        .iter()
        .filter(|(key, _)| key.ends_with("_token"))
        .filter_map(|(key, value)| Some((key.clone(), token(value)?)))
        .collect()
}
