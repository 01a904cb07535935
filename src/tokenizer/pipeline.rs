// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Normalizers and pre-tokenizers whose regular expressions report failure.
//!
//! The tokenizers crate treats a regular expression that hit its backtracking limit as one without
//! further matches, and continues with wrong tokens. Here this is an error, and so is taking too long.

use std::cell::Cell;

use fancy_regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::pattern::{Invert, Pattern};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, Offsets, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
};

use super::TOO_LONG;
use crate::limits::{REGEX_STEPS, TEXT_TOKENS, normalized_more};
use crate::watch::is_over;

type Result<T> = tokenizers::Result<T>;

/// The default expression that byte-level BPE splits by: GPT-2's.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Bytes that are normalized at once where they can become many more.
const PIECE: usize = 4096;

thread_local! {
    /// How many bytes the normalizers may still add.
    static ROOM: Cell<usize> = const { Cell::new(0) };
}

/// Sets how much this thread's normalizers may add to texts that have so many bytes together.
pub fn make_room(bytes: usize) {
    ROOM.set(normalized_more(bytes));
}

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

    fn apply(&self, text: &mut NormalizedString) -> Result<()> {
        match self {
            Self::Sequence(all) => all.iter().try_for_each(|one| one.apply(text)),
            Self::Replace { pattern, content } => replace(text, pattern, content),
            Self::Library(library) => {
                check_pieces(library, text)?;
                library.normalize(text)?;
                check_length(text, text.len()).map(drop)
            }
        }
    }
}

impl Normalizer for Normalize {
    fn normalize(&self, text: &mut NormalizedString) -> Result<()> {
        let normalized = self.apply(text).and_then(|()| check_length(text, text.len())).map(|left| ROOM.set(left));
        // The caller of normalizers ignores their errors, so they have to unwind.
        normalized.or_else(|error| std::panic::resume_unwind(Box::new(error.to_string())))
    }
}

fn replace(text: &mut NormalizedString, pattern: &Wanted, content: &str) -> Result<()> {
    let found = match pattern {
        Wanted::Text(pattern) => pattern.as_str().find_matches(text.get())?,
        Wanted::Regex(regex) => regex.find(text.get(), usize::MAX)?,
    };
    let count = found.iter().filter(|(_, is_match)| *is_match).count();
    check_length(text, text.len().saturating_add(count.saturating_mul(content.len())))?;
    text.replace(Found(found), content)
}

/// Checks what a normalizer that can make much of one character would make of a text, before all of it is made.
fn check_pieces(library: &NormalizerWrapper, text: &NormalizedString) -> Result<()> {
    let can_multiply = match library {
        NormalizerWrapper::NFKC(_) | NormalizerWrapper::NFKD(_) => !text.get().is_ascii(),
        NormalizerWrapper::Precompiled(_) => true,
        _ => false,
    };
    if !can_multiply || text.len() <= PIECE {
        return Ok(());
    }
    let (mut rest, mut length) = (text.get(), 0_usize);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        let mut piece = NormalizedString::from(piece);
        library.normalize(&mut piece)?;
        length = length.saturating_add(piece.len());
        check_length(text, length)?;
        rest = after;
    }
    Ok(())
}

/// Checks that a text may become so long, and that there is time for it. Returns the room that is then left.
fn check_length(text: &NormalizedString, length: usize) -> Result<usize> {
    check_time()?;
    let left = ROOM.get().checked_sub(length.saturating_sub(text.len_original()));
    left.ok_or_else(|| "the tokenizer's normalizer makes it too long".into())
}

fn check_time() -> Result<()> {
    if is_over() { Err(TOO_LONG.into()) } else { Ok(()) }
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
        Ok(Self(RegexBuilder::new(pattern).backtrack_limit(REGEX_STEPS).build()?))
    }

    /// Divides a text into matches, at most so many, and what is between them.
    fn find(&self, text: &str, most: usize) -> Result<Vec<(Offsets, bool)>> {
        if text.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let mut parts = Vec::new();
        let mut end = 0;
        for (count, found) in self.0.find_iter(text).enumerate() {
            let found = found?;
            check_time()?;
            if count == most {
                return Err(format!("it has more than {most} parts").into());
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

impl Pattern for &Checked {
    fn find_matches(&self, text: &str) -> Result<Vec<(Offsets, bool)>> {
        self.find(text, TEXT_TOKENS)
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
