// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Normalizers and pre-tokenizers whose regular expressions report failure.
//!
//! The tokenizers crate treats a regular expression that hit its backtracking limit as one without
//! further matches, and continues with wrong tokens. Here this is an error, and so is taking too long.

use fancy_regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, Offsets, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
};

use crate::limits::{NORMALIZED_GROWTH, NORMALIZED_MORE};
use crate::watch::is_over;

type Result<T> = tokenizers::Result<T>;

/// The default expression that byte-level BPE splits by: GPT-2's.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// A normalizer.
pub enum Normalize {
    Sequence(Vec<Normalize>),
    Replace { pattern: Wanted, content: String },
    Library(NormalizerWrapper),
}

/// A pre-tokenizer.
pub enum Split {
    Sequence(Vec<Split>),
    Regex { regex: Checked, behavior: SplitDelimiterBehavior, invert: bool },
    Gpt2 { regex: Checked, add_prefix_space: bool },
    Library(PreTokenizerWrapper),
}

/// A regular expression that fails with an error at its limit, and when the time of the text is up.
pub struct Checked(Regex);

/// What a normalizer replaces.
pub enum Wanted {
    Text(String),
    Regex(Checked),
}

#[derive(Deserialize)]
struct SplitFields {
    behavior: SplitDelimiterBehavior,
    #[serde(default)]
    invert: bool,
}

impl Normalize {
    /// Builds the normalizer that tokenizer.json describes.
    pub fn from_json(json: &Value) -> Result<Self> {
        match kind(json) {
            "Sequence" => Ok(Self::Sequence(items(json, "normalizers").map(Self::from_json).collect::<Result<_>>()?)),
            "Replace" => Ok(Self::Replace {
                pattern: match (regex(json), json.pointer("/pattern/String").and_then(Value::as_str)) {
                    (Some(regex), _) => Wanted::Regex(Checked::new(regex)?),
                    (None, Some(text)) => Wanted::Text(text.to_owned()),
                    _ => return Err("Replace has no pattern".into()),
                },
                content: String::deserialize(json.get("content").unwrap_or(&Value::Null))?,
            }),
            _ => Ok(Self::Library(NormalizerWrapper::deserialize(json)?)),
        }
    }
}

impl Normalizer for Normalize {
    fn normalize(&self, text: &mut NormalizedString) -> Result<()> {
        let normalized = match self {
            Self::Sequence(all) => all.iter().try_for_each(|one| one.normalize(text)),
            Self::Replace { pattern, content } => replace(text, pattern, content),
            Self::Library(library) => library.normalize(text).and_then(|()| check_growth(text, 0)),
        };
        // The caller of normalizers ignores their errors, so they have to unwind.
        normalized.or_else(|error| std::panic::resume_unwind(Box::new(error.to_string())))
    }
}

fn replace(text: &mut NormalizedString, pattern: &Wanted, content: &str) -> Result<()> {
    let found = match pattern {
        Wanted::Text(pattern) => pattern.as_str().find_matches(text.get())?,
        Wanted::Regex(regex) => regex.find_matches(text.get())?,
    };
    let count = found.iter().filter(|(_, is_match)| *is_match).count();
    check_growth(text, count.saturating_mul(content.len()))?;
    text.replace(Found(found), content)
}

/// Checks that a text may become longer, and that there is time for it.
fn check_growth(text: &NormalizedString, more: usize) -> Result<()> {
    let limit = text.len_original().saturating_mul(NORMALIZED_GROWTH).saturating_add(NORMALIZED_MORE);
    if text.len().saturating_add(more) > limit {
        return Err("the tokenizer's normalizer makes it too long".into());
    }
    check_time()
}

fn check_time() -> Result<()> {
    if is_over() { Err("the tokenizer takes too long".into()) } else { Ok(()) }
}

/// Matches that were found already.
struct Found(Vec<(Offsets, bool)>);

impl Pattern for Found {
    fn find_matches(&self, _: &str) -> Result<Vec<(Offsets, bool)>> {
        Ok(self.0.clone())
    }
}

impl Split {
    /// Builds the pre-tokenizer that tokenizer.json describes.
    pub fn from_json(json: &Value) -> Result<Self> {
        match kind(json) {
            "Sequence" => Ok(Self::Sequence(items(json, "pretokenizers").map(Self::from_json).collect::<Result<_>>()?)),
            "Split" if regex(json).is_some() => {
                let SplitFields { behavior, invert } = SplitFields::deserialize(json)?;
                let regex = Checked::new(regex(json).unwrap_or_default())?;
                Ok(Self::Regex { regex, behavior, invert })
            }
            _ => Ok(match PreTokenizerWrapper::deserialize(json)? {
                PreTokenizerWrapper::ByteLevel(level) if level.use_regex => {
                    Self::Gpt2 { regex: Checked::new(GPT2)?, add_prefix_space: level.add_prefix_space }
                }
                library => Self::Library(library),
            }),
        }
    }
}

impl PreTokenizer for Split {
    fn pre_tokenize(&self, text: &mut PreTokenizedString) -> Result<()> {
        match self {
            Self::Sequence(all) => all.iter().try_for_each(|one| one.pre_tokenize(text)),
            Self::Regex { regex, behavior, invert } => {
                text.split(
                    |_, part| {
                        if *invert { part.split(Invert(regex), *behavior) } else { part.split(regex, *behavior) }
                    },
                )
            }
            Self::Gpt2 { regex, add_prefix_space } => {
                text.split(|_, mut part| {
                    if *add_prefix_space && !part.get().starts_with(' ') {
                        part.prepend(" ");
                    }
                    part.split(regex, SplitDelimiterBehavior::Isolated)
                })?;
                ByteLevel::new(false, false, false).pre_tokenize(text)
            }
            Self::Library(library) => library.pre_tokenize(text).and_then(|()| check_time()),
        }
    }
}

impl Checked {
    fn new(pattern: &str) -> Result<Self> {
        Ok(Self(Regex::new(pattern)?))
    }
}

impl Pattern for &Checked {
    fn find_matches(&self, text: &str) -> Result<Vec<(Offsets, bool)>> {
        if text.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let mut parts = Vec::new();
        let mut end = 0;
        for found in self.0.find_iter(text) {
            let found = found?;
            check_time()?;
            if end != found.start() {
                parts.push(((end, found.start()), false));
            }
            parts.push(((found.start(), found.end()), true));
            end = found.end();
        }
        if end != text.len() {
            parts.push(((end, text.len()), false));
        }
        Ok(parts)
    }
}

/// Returns the `type` of a part of tokenizer.json.
pub fn kind(json: &Value) -> &str {
    json.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Returns the elements of a list in a part of tokenizer.json; none if there is no such list.
pub fn items<'j>(json: &'j Value, key: &str) -> impl Iterator<Item = &'j Value> {
    json.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn regex(json: &Value) -> Option<&str> {
    json.pointer("/pattern/Regex").and_then(Value::as_str)
}
