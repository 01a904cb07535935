// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/tokenization_utils_base.py
// Original: src/transformers/tokenization_utils_tokenizers.py
// Git Tag: v5.23.0

//! The tokens that tokenizer_config.json adds to those of tokenizer.json, or files older than it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::class::Class;
use super::config::FILE;
use crate::error::{Error, Result};
use crate::files::read_json;

/// Those that every tokenizer may have; transformers adds them in this order.
const STANDARD: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const DECODER: &str = "added_tokens_decoder";
const EXTRA: &str = "extra_special_tokens";
const OLD_EXTRA: &str = "additional_special_tokens";

/// What the files beside tokenizer.json say about tokens.
#[derive(Debug, Default)]
pub struct SpecialTokens {
    /// `bos_token`, `eos_token` and the like.
    named: Vec<(String, Token)>,
    /// Those without a name.
    extra: Vec<Token>,
    /// By the ids that they once had.
    declared: BTreeMap<i64, Token>,
    /// Whether tokenizer_config.json lists all added tokens itself.
    complete: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct Token {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl SpecialTokens {
    /// Reads the folder's older files where `config`, tokenizer_config.json, does not replace them.
    pub fn from_dir(dir: &Path, config: &Map<String, Value>, class: Class) -> Result<Self> {
        let complete = config.contains_key(DECODER);
        let mut fields = config.clone();
        let mut extra = Value::Null;
        for key in [EXTRA, OLD_EXTRA] {
            let value = fields.remove(key).unwrap_or_default();
            extra = if is_empty(&extra) { value } else { extra };
        }
        let mut old_extra = None;
        if !complete {
            let mut old = read_json(dir, "special_tokens_map.json")?.unwrap_or_default();
            extra = joined(extra, old.remove(EXTRA));
            old_extra = old.remove(OLD_EXTRA);
            fields.extend(old);
        }
        let declared = match config.get(DECODER) {
            Some(decoder) => {
                BTreeMap::deserialize(decoder).map_err(|error| Error::config(FILE, DECODER, error.to_string()))?
            }
            None => old_added_tokens(dir, &fields, &extra)?,
        };
        if is_empty(&extra) {
            extra = old_extra.unwrap_or_default();
        }
        for (name, token) in class.default_tokens() {
            fields.entry(*name).or_insert_with(|| (*token).into());
        }
        if let Value::Object(names) = &mut extra {
            fields.append(names);
        }

        let others = fields.iter().filter(|(name, _)| name.ends_with("_token") && !STANDARD.contains(&name.as_str()));
        let named = standard(&fields).chain(others).filter_map(|(name, value)| Some((name.clone(), token(value)?)));
        Ok(Self { named: named.collect(), extra: tokens(&extra).collect(), declared, complete })
    }

    /// Their contents by name, as chat templates see them.
    pub fn by_name(&self) -> Map<String, Value> {
        self.named.iter().map(|(name, token)| (name.clone(), token.content.as_str().into())).collect()
    }

    /// What is to be added behind the tokens of tokenizer.json, in order: some of them again, for their flags.
    pub fn to_add(&self, of_file: &[(i64, AddedToken)], class: Class) -> Vec<AddedToken> {
        let mut declared: BTreeMap<i64, AddedToken> =
            self.declared.iter().map(|(id, token)| (*id, token.clone().into())).collect();
        if !self.complete {
            declared.extend(of_file.iter().cloned());
        }
        let mut tokens: Vec<AddedToken> = declared.into_values().collect();
        let named: HashSet<&str> = self.named.iter().map(|(_, token)| token.content.as_str()).collect();
        let mut known: HashSet<String> = tokens.iter().map(|token| token.content.clone()).collect();
        if class == Class::Backend {
            known.extend(of_file.iter().map(|(_, token)| token.content.clone()));
        }
        let more = self.named.iter().map(|(_, token)| token).chain(&self.extra);
        tokens.extend(more.filter(|token| known.insert(token.content.clone())).cloned().map(Into::into));
        for token in &mut tokens {
            token.special |= named.contains(token.content.as_str());
        }
        if class == Class::Qwen2 {
            let all = self.named.iter().map(|(_, token)| token).chain(&self.extra);
            tokens.extend(all.map(|token| AddedToken::from(token.content.clone(), true)));
        }
        tokens
    }
}

/// added_tokens.json: contents and ids.
fn old_added_tokens(dir: &Path, fields: &Map<String, Value>, extra: &Value) -> Result<BTreeMap<i64, Token>> {
    let file = "added_tokens.json";
    let named = standard(fields).filter_map(|(_, value)| token(value));
    let special: HashSet<String> = named.chain(tokens(extra)).map(|token| token.content).collect();
    let all = read_json(dir, file)?.unwrap_or_default().into_iter().map(|(content, id)| {
        let wrong = || Error::config(file, &content, format!("{id} is not a token id"));
        Ok((
            id.as_i64().ok_or_else(wrong)?,
            Token { special: special.contains(&content), ..Token::from(content.as_str()) },
        ))
    });
    all.collect()
}

/// The entries with names of [`STANDARD`], in that order.
fn standard(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    STANDARD.iter().filter_map(|name| fields.get_key_value(*name))
}

impl From<&str> for Token {
    fn from(content: &str) -> Self {
        let content = content.to_owned();
        Self { content, single_word: false, lstrip: false, rstrip: false, normalized: None, special: true }
    }
}

impl From<Token> for AddedToken {
    fn from(token: Token) -> Self {
        Self {
            content: token.content,
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized.unwrap_or(!token.special),
            special: token.special,
        }
    }
}

/// A token is written as its content or as an object.
fn token(value: &Value) -> Option<Token> {
    match value {
        Value::String(content) => Some(content.as_str().into()),
        object => Token::deserialize(object).ok(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        value => value.is_null(),
    }
}

/// The extra tokens of tokenizer_config.json, and those of special_tokens_map.json.
fn joined(extra: Value, more: Option<Value>) -> Value {
    match (extra, more) {
        (Value::Array(mut all), Some(Value::Array(more))) => {
            all.extend(more);
            Value::Array(all)
        }
        (extra, more) => more.unwrap_or(extra),
    }
}

fn tokens(list: &Value) -> impl Iterator<Item = Token> {
    list.as_array().into_iter().flatten().filter_map(token)
}
