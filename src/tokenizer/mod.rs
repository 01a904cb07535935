// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tokenizer_utils.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! Encoding and decoding of text, and chat templates. Nothing here uses MLX.

mod bpe;
pub mod chat_template;
mod class;
mod config;
mod control_tokens;
mod decoder;
mod definition;
mod detokenizer;
pub mod isolate;
mod legacy;
mod limits;
pub mod output;
mod pipeline;
mod special_tokens;
mod stop;
#[cfg(test)]
pub(crate) mod tests;
mod vocabulary;

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokenizers::{AddedVocabulary, Model, ModelWrapper, OffsetType, PreTokenizer};

pub use self::chat_template::TemplateOptions;
pub use self::class::{Class, ClassRule};
use self::config::Config;
use self::control_tokens::ControlTokens;
use self::definition::{Definition, Parsed};
pub use self::detokenizer::StreamingDetokenizer;
use self::output::{ReasoningFormat, ToolFormat};
use self::pipeline::make_room;
pub use self::stop::{StopMatcher, StopOutcome};
pub use self::vocabulary::TokenText;
use crate::error::{Error, Result};
use crate::limits::{DECODED_BYTES, TEXT_TOKENS, TOKENIZER_BYTES, text_time};
use crate::watch::{is_over, limited};
use crate::{files, panics};

const FILE: &str = "tokenizer.json";
const STACK: usize = 16 << 20;
const SHORT: usize = 16 << 10;
const TOO_LONG: &str = "the tokenizer takes too long";
/// Qwen, SmolLM, GLM, Gemma; DeepSeek, Granite.
const REASONING_SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];

/// A model's tokenizer with its chat template.
pub struct Tokenizer {
    definition: Arc<Definition>,
    config: Config,
    /// The added tokens without the special ones, for texts in which special tokens are split.
    not_special: OnceLock<AddedVocabulary>,
    control_tokens: OnceLock<Result<ControlTokens, String>>,
    tool_format: ToolFormat,
    reasoning_format: ReasoningFormat,
    largest_id: u32,
    largest_added_id: u32,
    longest_token: usize,
    decoder_growth: usize,
}

impl Tokenizer {
    /// Reads tokenizer.json, tokenizer_config.json and the chat template from a model's folder.
    ///
    /// `rule` is that of the folder's `model_type`: `models::tokenizer_class`.
    ///
    /// Byte-level tokenizers may also consist of vocab.json and merges.txt. A chat template is not checked before it is
    /// used, so an invalid one does not keep a model from loading.
    pub fn from_dir(dir: &Path, rule: ClassRule) -> Result<Self> {
        let path = dir.join(FILE);
        let invalid = |message: String| Error::TokenizerInvalid { path: path.clone(), message };
        let json = files::read_text(&path, TOKENIZER_BYTES).map_err(invalid)?;
        let config = Config::from_dir(dir, rule, json.as_deref())?;
        let json = json.map_or_else(|| legacy::tokenizer_json(dir, config.class), Ok)?;
        let load = || definition::parse(json, &config).map_err(|error| error.to_string());
        let Parsed { definition, largest_id, longest_token, decoder_growth } =
            isolate::run(STACK, load).and_then(|result| result).map_err(invalid)?;
        let largest_added_id = definition::largest_added_id(&definition);
        let has_token = |token: &str| definition.token_to_id(token).is_some();
        let named = config.tool_parser.as_deref().and_then(ToolFormat::from_name);
        let template = config.tool_template.as_ref().or(config.template.as_ref());
        let tool_format =
            named.unwrap_or_else(|| ToolFormat::infer(template.map(String::as_str).unwrap_or_default(), has_token));
        let reasoning_format = ReasoningFormat::infer(has_token);
        let definition = Arc::new(definition);
        Ok(Self {
            definition,
            config,
            not_special: OnceLock::new(),
            control_tokens: OnceLock::new(),
            tool_format,
            reasoning_format,
            largest_id,
            largest_added_id,
            longest_token,
            decoder_growth,
        })
    }

    /// Encodes a text.
    ///
    /// `add_special_tokens` adds the model's own before and after it, such as BOS. A rendered chat
    /// template already contains them, so encode it with `add_special_tokens` = false.
    ///
    /// The spelling of a special token in the text is encoded as that token, as in transformers, unless
    /// tokenizer_config.json has `split_special_tokens`.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        self.encode_splitting(text, add_special_tokens, self.config.split_special_tokens)
    }

    /// The same, with a choice of whether special tokens in the text are split like ordinary text.
    pub fn encode_splitting(
        &self,
        text: &str,
        add_special_tokens: bool,
        split_special_tokens: bool,
    ) -> Result<Vec<u32>> {
        if !split_special_tokens {
            return self.encode_knowing(self.definition.get_added_vocabulary(), text, add_special_tokens);
        }
        let not_special = self.not_special.get_or_init(|| {
            let mut added = self.definition.get_added_vocabulary().clone();
            added.set_encode_special_tokens(true);
            added
        });
        self.encode_knowing(not_special, text, add_special_tokens)
    }

    /// Encodes a text in which only these added tokens are recognised.
    fn encode_knowing(&self, added: &AddedVocabulary, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        let definition = &self.definition;
        encoded(text, || {
            make_room(text.len());
            let mut parts = added.extract_and_normalize(definition.get_normalizer(), text);
            if let Some(split) = definition.get_pre_tokenizer() {
                split.pre_tokenize(&mut parts)?;
            }
            let (steps, count) = (Cell::new(0_usize), Cell::new(0));
            parts.tokenize(|part| {
                steps.set(steps.get() + 1);
                if (steps.get().is_multiple_of(32) || part.get().len() > 32) && is_over() {
                    return Err(TOO_LONG.into());
                }
                let tokens = definition.get_model().tokenize(part.get())?;
                count.set(count.get() + tokens.len());
                match count.get() {
                    0..=TEXT_TOKENS => Ok(tokens),
                    _ => Err(format!("it has more than {TEXT_TOKENS} tokens").into()),
                }
            })?;
            let encoding = parts.into_encoding(None, 0, OffsetType::None)?;
            Ok(definition.post_process(encoding, None, add_special_tokens)?.get_ids().to_vec())
        })
    }

    /// Decodes token ids; ids without a token are skipped.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let is_too_long = |bytes: usize| bytes.saturating_mul(self.decoder_growth) > DECODED_BYTES;
        if is_too_long(ids.len().saturating_mul(self.longest_token)) {
            let length = |id: &u32| self.id_to_token(*id).map_or(0, |token| token.len());
            if is_too_long(ids.iter().map(length).sum()) {
                let message = format!("their text could have more than {DECODED_BYTES} bytes");
                return Err(Error::OutOfRange { name: "ids".to_owned(), message });
            }
        }
        let decode = || self.definition.decode(ids, skip_special_tokens).map_err(|error| error.to_string());
        let text = panics::catch(decode)
            .and_then(|result| result)
            .map_err(|message| Error::internal(format!("the tokens could not be decoded: {message}")))?;
        Ok(if self.cleans_up() { decoder::clean_up(&text) } else { text })
    }

    /// As in transformers: the cleanup is meant for words, and would remove spaces from BPE's texts.
    fn cleans_up(&self) -> bool {
        self.config.clean_up_tokenization_spaces && !matches!(self.definition.get_model(), ModelWrapper::BPE(_))
    }

    /// Creates a detokenizer for one stream of ids.
    pub fn detokenizer(&self) -> StreamingDetokenizer {
        StreamingDetokenizer::new(Arc::clone(&self.definition), self.cleans_up())
    }

    /// Renders messages to a prompt, to be encoded without special tokens.
    pub fn apply_chat_template(&self, messages: &Value, options: &TemplateOptions) -> Result<String> {
        let template = match (&options.tools, &self.config.tool_template) {
            (Some(_), Some(template)) => template,
            _ => self
                .chat_template()
                .ok_or_else(|| Error::ChatTemplate { message: "the model has no chat template".to_owned() })?,
        };
        chat_template::apply(template, messages, self.config.special_tokens.clone(), options)
    }

    /// Returns the model's tool-call format.
    pub fn tool_format(&self) -> ToolFormat {
        self.tool_format
    }

    /// Returns the model's reasoning format.
    pub fn reasoning_format(&self) -> ReasoningFormat {
        self.reasoning_format
    }

    /// Returns the variable with which the chat template switches reasoning, if it has one.
    pub fn reasoning_switch(&self) -> Option<&'static str> {
        let template = self.chat_template()?;
        REASONING_SWITCHES.into_iter().find(|variable| chat_template::mentions(template, variable))
    }

    /// Returns the chat template for conversations without tools.
    pub fn chat_template(&self) -> Option<&str> {
        self.config.template.as_deref()
    }

    /// Returns the beginning-of-sequence token, if there is one.
    pub fn bos_token(&self) -> Option<&str> {
        self.config.special_token("bos_token")
    }

    /// Returns the end-of-sequence token, if there is one.
    pub fn eos_token(&self) -> Option<&str> {
        self.config.special_token("eos_token")
    }

    /// Returns the id of [`Self::eos_token`].
    pub fn eos_token_id(&self) -> Option<u32> {
        self.token_to_id(self.eos_token()?)
    }

    /// Returns the largest id of the vocabulary proper.
    ///
    /// Some tokenizers have added tokens beyond the model's embedding rows, for parts that the weights
    /// lack (Gemma 3 1B's image token): check those ids when they occur in a prompt.
    pub fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// Returns the largest id of the added tokens, 0 if there are none.
    pub fn largest_added_id(&self) -> u32 {
        self.largest_added_id
    }

    /// Returns the id of a token, as spelled in the vocabulary.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.definition.token_to_id(token)
    }

    /// Returns the token of an id, as spelled in the vocabulary.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.definition.id_to_token(id)
    }
}

/// The error of a text that takes too long.
fn late() -> Error {
    Error::TokenizeFailed { message: TOO_LONG.to_owned() }
}

/// Runs the tokenization of a text.
fn encoded(text: &str, encode: impl FnOnce() -> tokenizers::Result<Vec<u32>> + Send) -> Result<Vec<u32>> {
    let encode = || limited(text_time(text.len()), late, encode).map_err(|error| error.to_string());
    // A thread costs more than a short text, but a long one fills the thread's caches.
    let result = if text.len() <= SHORT { panics::catch(encode) } else { isolate::run(STACK, encode) };
    result.and_then(|result| result).map_err(|message| Error::TokenizeFailed { message })
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("largest_id", &self.largest_id)
            .field("special_tokens", &self.config.special_tokens)
            .finish_non_exhaustive()
    }
}
