// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tokenizer_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Text to token ids and back, and chat templates. Nothing here touches MLX.

pub mod chat_template;
mod config;
mod decoder;
mod definition;
mod detokenizer;
pub mod isolate;
mod limits;
pub mod output;
mod pipeline;
mod stop;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

pub use self::chat_template::TemplateOptions;
use self::config::Config;
use self::definition::Definition;
pub use self::detokenizer::StreamingDetokenizer;
use self::output::{ReasoningFormat, ToolFormat};
pub use self::stop::{StopMatcher, StopOutcome};
use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";
const MAX_SIZE: u64 = 256 << 20;
const STACK: usize = 16 << 20;
const SHORT: usize = 16 << 10;
/// Qwen, SmolLM, GLM, Gemma; DeepSeek, Granite.
const REASONING_SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];

/// A model's tokenizer with its chat template.
pub struct Tokenizer {
    definition: Arc<Definition>,
    config: Config,
    tool_format: ToolFormat,
    reasoning_format: ReasoningFormat,
    largest_id: u32,
    largest_added_id: u32,
}

impl Tokenizer {
    /// Reads tokenizer.json, tokenizer_config.json and the chat template from a model's folder.
    ///
    /// A chat template is not looked at before it is used: a wrong one keeps no model from loading.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let invalid = |message: String| Error::TokenizerInvalid { path: path.clone(), message };
        let json = config::read_text(&path, MAX_SIZE)
            .map_err(invalid)?
            .ok_or_else(|| Error::ModelFileMissing { path: dir.to_owned(), file: FILE.to_owned() })?;
        let load = || definition::parse(&json).map_err(|error| error.to_string());
        let definition = isolate::run(STACK, load).and_then(|result| result).map_err(invalid)?;
        let (largest_id, largest_added_id) = definition::largest_ids(&definition);
        let config = Config::from_dir(dir)?;
        let has_token = |token: &str| definition.token_to_id(token).is_some();
        let named = config.tool_parser.as_deref().and_then(ToolFormat::from_name);
        let template = config.tool_template.as_ref().or(config.template.as_ref());
        let tool_format =
            named.unwrap_or_else(|| ToolFormat::infer(template.map(String::as_str).unwrap_or_default(), has_token));
        let reasoning_format = ReasoningFormat::infer(has_token);
        let definition = Arc::new(definition);
        Ok(Self { definition, config, tool_format, reasoning_format, largest_id, largest_added_id })
    }

    /// The token ids of a text.
    ///
    /// `add_special_tokens` puts the model's own before and after it, such as BOS. A rendered chat
    /// template already holds them, so it is to be encoded without.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        let encode = || {
            self.definition
                .encode_fast(text, add_special_tokens)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| error.to_string())
        };
        // A thread costs more than a short text, but a long one fills the thread's caches.
        let result = if text.len() <= SHORT { isolate::catch(encode) } else { isolate::run(STACK, encode) };
        result.and_then(|result| result).map_err(|message| Error::TokenizeFailed { message })
    }

    /// The text of token ids; ids without a token are passed over.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let decode = || self.definition.decode(ids, skip_special_tokens).map_err(|error| error.to_string());
        isolate::catch(decode)
            .and_then(|result| result)
            .map_err(|message| Error::internal(format!("the tokens could not be decoded: {message}")))
    }

    /// A new detokenizer for one stream of ids.
    pub fn detokenizer(&self) -> StreamingDetokenizer {
        StreamingDetokenizer::new(Arc::clone(&self.definition))
    }

    /// Renders messages to the text of a prompt, to be encoded without special tokens.
    pub fn apply_chat_template(&self, messages: &Value, options: &TemplateOptions) -> Result<String> {
        let template = match (&options.tools, &self.config.tool_template) {
            (Some(_), Some(template)) => template,
            _ => self
                .chat_template()
                .ok_or_else(|| Error::ChatTemplate { message: "the model has no chat template".to_owned() })?,
        };
        chat_template::apply(template, messages, self.config.special_tokens.clone(), options)
    }

    /// How the model writes tool calls.
    pub fn tool_format(&self) -> ToolFormat {
        self.tool_format
    }

    /// How the model marks its reasoning.
    pub fn reasoning_format(&self) -> ReasoningFormat {
        self.reasoning_format
    }

    /// The variable by which the chat template switches reasoning on and off, if it knows one.
    pub fn reasoning_switch(&self) -> Option<&'static str> {
        let template = self.chat_template()?;
        REASONING_SWITCHES.into_iter().find(|variable| chat_template::mentions(template, variable))
    }

    /// The chat template for conversations without tools.
    pub fn chat_template(&self) -> Option<&str> {
        self.config.template.as_deref()
    }

    /// The token that begins a text, if tokenizer_config.json names one.
    pub fn bos_token(&self) -> Option<&str> {
        self.special_token("bos_token")
    }

    /// The token that ends a text, if tokenizer_config.json names one.
    pub fn eos_token(&self) -> Option<&str> {
        self.special_token("eos_token")
    }

    /// The id of [`Self::eos_token`].
    pub fn eos_token_id(&self) -> Option<u32> {
        self.token_to_id(self.eos_token()?)
    }

    /// The largest id of the vocabulary proper.
    ///
    /// Some models' tokenizers have added tokens beyond their embedding rows, for parts that the
    /// weights lack (Gemma 3 1B's image token): compare those ids when they turn up in a prompt.
    pub fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// The largest id of the added tokens, 0 if there are none.
    pub fn largest_added_id(&self) -> u32 {
        self.largest_added_id
    }

    /// The id of a token, as it is written in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.definition.token_to_id(token)
    }

    /// The token of an id, as it is written in the vocabulary.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.definition.id_to_token(id)
    }

    fn special_token(&self, name: &str) -> Option<&str> {
        self.config.special_tokens.get(name).and_then(Value::as_str)
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("largest_id", &self.largest_id)
            .field("special_tokens", &self.config.special_tokens)
            .finish_non_exhaustive()
    }
}
