// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/tokenization_utils_base.py
// Git Tag: v5.23.0

//! tokenizer_config.json, and what lies beside it: chat templates, and tokens in older files.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::class::{Class, ClassOptions, ClassRule};
use super::special_tokens::SpecialTokens;
use crate::error::{Error, Result};
use crate::files::{read_json, read_text};
use crate::limits::CONFIG_BYTES;

pub const FILE: &str = "tokenizer_config.json";

/// What is used of tokenizer_config.json.
#[derive(Debug, Default)]
pub struct Config {
    pub class: Class,
    pub class_options: ClassOptions,
    pub tokens: SpecialTokens,
    /// `bos_token`, `eos_token` and the like, as templates see them.
    pub special_tokens: Map<String, Value>,
    /// Whether BOS and EOS go around a text, where it is not tokenizer.json that says so.
    pub around: Option<(bool, bool)>,
    /// Whether special tokens in a text are text.
    pub split_special_tokens: bool,
    /// Added tokens that give chats their form, besides the special ones, where the file lists them.
    pub chat_control_tokens: Option<Vec<String>>,
    /// Whether decoded text loses the spaces before punctuation and the like.
    pub clean_up_tokenization_spaces: bool,
    /// The chat template, and the one for conversations with tools if there are two.
    pub template: Option<String>,
    pub tool_template: Option<String>,
    /// The name of mlx-lm's parser for tool calls, where the file says so.
    pub tool_parser: Option<String>,
}

impl Config {
    /// Reads the folder's files; all of them may be missing. `tokenizer` is the text of tokenizer.json.
    pub fn from_dir(dir: &Path, rule: ClassRule, tokenizer: Option<&str>) -> Result<Self> {
        let config = read_json(dir, FILE)?.unwrap_or_default();
        let model = read_json(dir, "config.json")?.unwrap_or_default();
        let text = |config: &Map<String, Value>, key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
        let flag = |key: &str| config.get(key).and_then(Value::as_bool);
        let named = text(&config, "tokenizer_class").or_else(|| text(&model, "tokenizer_class"));
        let remote = config.get("auto_map").is_some_and(|map| map.get("AutoTokenizer").is_some() || map.is_array());
        let byte_level = tokenizer.is_some_and(|json| json.contains("\"ByteLevel\""));
        let class = rule.choose(named.as_deref(), remote, byte_level);
        let is_set = |key: &str| flag(key).unwrap_or(false);
        let around = tokenizer.is_none().then(|| (is_set("add_bos_token"), is_set("add_eos_token")));
        let tokens = SpecialTokens::from_dir(dir, &config, class)?;
        let mut this = Self {
            class,
            class_options: ClassOptions { add_prefix_space: flag("add_prefix_space"), legacy: is_set("legacy") },
            special_tokens: tokens.by_name(),
            tokens,
            around: match class {
                Class::CodeLlama => Some((true, false)),
                Class::GptNeoX => around.or(Some((false, false))),
                _ => around,
            },
            split_special_tokens: is_set("split_special_tokens"),
            clean_up_tokenization_spaces: is_set("clean_up_tokenization_spaces"),
            chat_control_tokens: config.get("chat_control_tokens").and_then(|list| Vec::deserialize(list).ok()),
            tool_parser: text(&config, "tool_parser_type"),
            ..Self::default()
        };
        let templates = match config.get("chat_template") {
            None | Some(Value::Null) => {
                read_json(dir, "chat_template.json")?.unwrap_or_default().remove("chat_template").unwrap_or_default()
            }
            Some(template) => template.clone(),
        };
        this.take_templates(templates);
        for (file, template) in [
            ("chat_template.jinja", &mut this.template),
            ("additional_chat_templates/tool_use.jinja", &mut this.tool_template),
        ] {
            let text = read_text(&dir.join(file), CONFIG_BYTES);
            if let Some(text) = text.map_err(|message| Error::config(file, "text", message))? {
                *template = Some(text);
            }
        }
        for template in [&mut this.template, &mut this.tool_template].into_iter().flatten() {
            // As Jinja does before it looks at anything.
            *template = template.replace("\r\n", "\n").replace('\r', "\n");
        }
        Ok(this)
    }

    /// A special token by its name, such as `bos_token`.
    pub fn special_token(&self, name: &str) -> Option<&str> {
        self.special_tokens.get(name).and_then(Value::as_str)
    }

    fn take_templates(&mut self, templates: Value) {
        match templates {
            Value::String(template) => self.template = Some(template),
            Value::Object(named) => {
                let text = |name: &str| named.get(name).and_then(Value::as_str).map(str::to_owned);
                (self.template, self.tool_template) = (text("default"), text("tool_use"));
            }
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
