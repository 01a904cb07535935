// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Normalizers and pre-tokenizers whose regular expressions report failure.
//!
//! The tokenizers crate treats a regular expression that hit its backtracking limit as one without
//! further matches, and continues with wrong tokens. Here this is an error, and so is taking too long.

use std::time::{Duration, Instant};

use fancy_regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, Offsets, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
};

type Result<T> = tokenizers::Result<T>;

/// The default expression that byte-level BPE splits by: GPT-2's.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// A normalizer.
pub enum Normalize {
    Sequence(Vec<Normalize>),
    Replace { regex: Checked, content: String },
    Library(NormalizerWrapper),
}

/// A pre-tokenizer.
pub enum Split {
    Sequence(Vec<Split>),
    Regex { regex: Checked, behavior: SplitDelimiterBehavior, invert: bool },
    Gpt2 { regex: Checked, add_prefix_space: bool },
    Library(PreTokenizerWrapper),
}

/// A regular expression that fails with an error at its limit.
pub struct Checked(Regex);

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
            "Replace" if regex(json).is_some() => Ok(Self::Replace {
                regex: Checked::new(regex(json).unwrap_or_default())?,
                content: String::deserialize(json.get("content").unwrap_or(&Value::Null))?,
            }),
            _ => Ok(Self::Library(NormalizerWrapper::deserialize(json)?)),
        }
    }
}

impl Normalizer for Normalize {
    fn normalize(&self, text: &mut NormalizedString) -> Result<()> {
        match self {
            Self::Sequence(all) => all.iter().try_for_each(|one| one.normalize(text)),
            // The caller of normalizers ignores their errors, so this one has to unwind.
            Self::Replace { regex, content } => text
                .replace(&Timed::new(regex, text.len()), content)
                .or_else(|error| std::panic::resume_unwind(Box::new(error.to_string()))),
            Self::Library(library) => library.normalize(text),
        }
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
            Self::Regex { regex, behavior, invert } => text.split(|_, part| {
                let timed = Timed::new(regex, part.len());
                if *invert { part.split(Invert(&timed), *behavior) } else { part.split(&timed, *behavior) }
            }),
            Self::Gpt2 { regex, add_prefix_space } => {
                text.split(|_, mut part| {
                    if *add_prefix_space && !part.get().starts_with(' ') {
                        part.prepend(" ");
                    }
                    let timed = Timed::new(regex, part.len());
                    part.split(&timed, SplitDelimiterBehavior::Isolated)
                })?;
                ByteLevel::new(false, false, false).pre_tokenize(text)
            }
            Self::Library(library) => library.pre_tokenize(text),
        }
    }
}

impl Checked {
    fn new(pattern: &str) -> Result<Self> {
        Ok(Self(Regex::new(pattern)?))
    }
}

/// A regular expression with a time limit for one text.
struct Timed<'r> {
    regex: &'r Regex,
    deadline: Instant,
}

impl<'r> Timed<'r> {
    fn new(Checked(regex): &'r Checked, text_len: usize) -> Self {
        let allowed = Duration::from_secs(2) + Duration::from_micros(text_len as u64);
        Self { regex, deadline: Instant::now() + allowed }
    }
}

impl Pattern for &Timed<'_> {
    fn find_matches(&self, text: &str) -> Result<Vec<(Offsets, bool)>> {
        if text.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let mut parts = Vec::new();
        let mut end = 0;
        for found in self.regex.find_iter(text) {
            let found = found?;
            if Instant::now() > self.deadline {
                return Err("the tokenizer's regular expression takes too long".into());
            }
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
