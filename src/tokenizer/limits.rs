// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Limits for tokenizer.json. Real files stay far below them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokenizers::{normalizers::BertNormalizer, pre_tokenizers::delimiter::CharDelimiterSplit};

use super::pipeline::{items, kind};
use crate::limits::WORD_LETTERS;

const MAX_STAGES: usize = 64;
const MAX_PATTERN: usize = 16 << 10;
/// Maximum length of the text that a stage inserts.
const MAX_CONTENT: usize = 64;
/// Maximum factor by which all stages of a part together can lengthen a text.
const MAX_GROWTH: usize = 64;
const MAX_CHARSMAP: usize = 16 << 20;
/// Bytes of all added tokens.
pub const MAX_ADDED: usize = 8 << 20;
/// Bytes of a token.
const MAX_TOKEN: usize = 8 << 10;
const MAX_SPECIAL_IDS: usize = 1024;
/// Unigram keeps its tokens in a tree of nested maps, which takes about 400 bytes and one stack frame per byte.
const MAX_UNIGRAM_TOKEN: usize = 512;
const MAX_UNIGRAM: usize = 16 << 20;

type Result = tokenizers::Result<()>;

/// What the crate writes for types that it reads by other names, so that it guesses even here.
const BERT: &str = "BertNormalizer";
const DELIMITER: &str = "CharDelimiterSplit";
/// Types of stages. The crate guesses that of a stage with another type by its fields, which nobody checks here.
pub const NORMALIZERS: &[&str] = &[
    "Bert",
    BERT,
    "ByteLevel",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Precompiled",
    "Prepend",
    "Replace",
    "Sequence",
    "Strip",
    "StripAccents",
];
pub const PRE_TOKENIZERS: &[&str] = &[
    "BertPreTokenizer",
    "ByteLevel",
    DELIMITER,
    "Digits",
    "FixedLength",
    "Metaspace",
    "Punctuation",
    "Sequence",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
];
pub const DECODERS: &[&str] = &[
    "BPEDecoder",
    "ByteFallback",
    "ByteLevel",
    "CTC",
    "Fuse",
    "Metaspace",
    "Replace",
    "Sequence",
    "Strip",
    "WordPiece",
];

/// Checks a normalizer, pre-tokenizer or decoder, with stages of these types. Returns the factor by which it can lengthen a
/// text.
pub fn check_part(part: &Value, types: &[&str]) -> tokenizers::Result<usize> {
    let mut stages = Vec::new();
    flatten(part, &mut stages);
    ensure(stages.len() <= MAX_STAGES, "too many stages")?;
    let mut growth = 1_usize;
    for stage in stages {
        let is_what_it_says = match kind(stage) {
            BERT => BertNormalizer::deserialize(stage).is_ok(),
            DELIMITER => CharDelimiterSplit::deserialize(stage).is_ok(),
            _ => true,
        };
        ensure(is_what_it_says && types.contains(&kind(stage)), "the type of a stage is missing or unknown")?;
        growth = growth.saturating_mul(check_stage(stage)?);
    }
    ensure(growth <= MAX_GROWTH, "its stages can expand a text too much")?;
    Ok(growth)
}

/// Checks a post-processor.
pub fn check_post_processor(post_processor: &Value) -> Result {
    let mut stages = Vec::new();
    flatten(post_processor, &mut stages);
    ensure(stages.len() <= MAX_STAGES, "too many post-processors")?;
    for stage in stages {
        let mut ids = 0;
        let mut texts = 0;
        for piece in items(stage, "single") {
            texts += usize::from(piece.get("Sequence").is_some());
            if let Some(name) = piece.pointer("/SpecialToken/id").and_then(Value::as_str) {
                let token = stage.get("special_tokens").and_then(|all| all.get(name));
                ids += token.map_or(0, |token| items(token, "ids").count());
            }
        }
        ensure(texts <= 1, "the post-processor repeats the text")?;
        ensure(ids <= MAX_SPECIAL_IDS, "the post-processor adds too many tokens")?;
    }
    Ok(())
}

/// Checks the added tokens.
pub fn check_added_tokens<'t>(contents: impl Iterator<Item = &'t String>) -> Result {
    let total: usize = contents.map(String::len).sum();
    ensure(total <= MAX_ADDED, "too many added tokens")
}

/// Checks the lengths of tokens. Returns the largest.
pub fn check_tokens<'t>(tokens: impl Iterator<Item = &'t String>) -> tokenizers::Result<usize> {
    let longest = tokens.map(String::len).max().unwrap_or(0);
    ensure(longest <= MAX_TOKEN, "a token is too long")?;
    Ok(longest)
}

/// Checks the model, still as text. Returns its type, which old files of BPE models do not name.
pub fn check_model(json: &str) -> tokenizers::Result<&str> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(rename = "type")]
        kind: Option<&'a str>,
        merges: Option<IgnoredAny>,
        continuing_subword_prefix: Option<String>,
        max_input_chars_per_word: Option<u64>,
    }
    let head: Head = serde_json::from_str(json)?;
    let word = head.max_input_chars_per_word.unwrap_or(0);
    ensure(word <= WORD_LETTERS, "max_input_chars_per_word is too large")?;
    let prefix = head.continuing_subword_prefix.unwrap_or_default();
    let kind = match head.kind {
        None if head.merges.is_some() => "BPE",
        kind => kind.unwrap_or_default(),
    };
    match kind {
        "Unigram" => check_unigram(json)?,
        "WordPiece" | "WordLevel" => {}
        "BPE" if prefix.is_empty() => {}
        "BPE" => check_merges(json, &prefix)?,
        _ => return Err("model: the type is missing or unknown".into()),
    }
    Ok(kind)
}

fn flatten<'j>(part: &'j Value, stages: &mut Vec<&'j Value>) {
    let lists = ["normalizers", "pretokenizers", "decoders", "processors"];
    if kind(part) == "Sequence" {
        for stage in lists.into_iter().flat_map(|list| items(part, list)) {
            flatten(stage, stages);
        }
    }
    stages.push(part);
}

/// Checks one stage. Returns the factor by which it can lengthen a text.
fn check_stage(stage: &Value) -> tokenizers::Result<usize> {
    let text = |pointer: &str| stage.pointer(pointer).and_then(Value::as_str);
    let content = text("/content").or(text("/prepend")).unwrap_or_default();
    ensure(content.len() <= MAX_CONTENT, "a replacement is too long")?;
    let pattern = text("/pattern/String").or(text("/pattern/Regex")).unwrap_or_default();
    ensure(pattern.len() <= MAX_PATTERN, "a pattern is too long")?;
    if let Some(charsmap) = text("/precompiled_charsmap") {
        check_charsmap(charsmap)?;
    }
    let length = stage.get("length").and_then(Value::as_u64);
    ensure(kind(stage) != "FixedLength" || length != Some(0), "FixedLength has a length of 0")?;
    // The crate counts from the end of a token without checking its length.
    let stop = stage.get("stop").and_then(Value::as_u64);
    ensure(kind(stage) != "Strip" || stop.unwrap_or(0) == 0, "Strip has a non-zero stop")?;
    let width = text("/pattern/String").map_or(1, |pattern| pattern.len().max(1));
    Ok(match kind(stage) {
        "Replace" => content.len().div_ceil(width).max(1),
        "ByteLevel" => 2,
        _ => 1,
    })
}

/// Checks a precompiled character map: the length of its first half, for which memory is reserved, and then the texts, with
/// zeros between them.
fn check_charsmap(base64: &str) -> Result {
    ensure(base64.len() <= MAX_CHARSMAP, "precompiled_charsmap is too long")?;
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(base64.len() / 4 * 3), 0_u32, 0);
    for c in base64.trim_end_matches('=').bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("precompiled_charsmap is not base64".into()),
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    let texts = bytes.split_first_chunk().and_then(|(size, rest)| rest.get(u32::from_le_bytes(*size) as usize..));
    let texts = texts.ok_or("precompiled_charsmap is truncated")?;
    let longest = texts.split(|byte| *byte == 0).map(<[u8]>::len).max();
    ensure(longest <= Some(MAX_CONTENT), "precompiled_charsmap has a replacement that is too long")
}

fn check_unigram(json: &str) -> Result {
    #[derive(Deserialize)]
    struct Unigram<'a> {
        #[serde(borrow)]
        vocab: Vec<(Cow<'a, str>, f64)>,
    }
    let Unigram { vocab } = serde_json::from_str(json)?;
    let longest = vocab.iter().map(|(token, _)| token.len()).max();
    let total: usize = vocab.iter().map(|(token, _)| token.len()).sum();
    ensure(longest.is_some(), "the vocabulary is empty")?;
    ensure(longest <= Some(MAX_UNIGRAM_TOKEN), "a token is too long")?;
    ensure(total <= MAX_UNIGRAM, "the vocabulary is too large")
}

/// Checks merges: the crate removes the prefix from the second half of a merge unchecked, possibly within
/// a character.
fn check_merges(json: &str, prefix: &str) -> Result {
    #[derive(Deserialize)]
    struct Bpe {
        #[serde(default)]
        merges: Vec<Merge>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Pair((IgnoredAny, String)),
        Line(String),
    }
    let Bpe { merges } = serde_json::from_str(json)?;
    let fits = merges.iter().all(|merge| match merge {
        Merge::Pair((_, second)) => second.starts_with(prefix),
        Merge::Line(line) => line.split(' ').nth(1).is_none_or(|b| b.starts_with(prefix)),
    });
    ensure(fits, "a merge does not begin with continuing_subword_prefix")
}

fn ensure(holds: bool, otherwise: &str) -> Result {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn what_the_crate_writes_is_taken_for_what_it_is() {
        let bert = BertNormalizer::new(true, true, None, true);
        assert!(check_part(&to_value(bert).unwrap(), NORMALIZERS).is_ok());
        assert!(check_part(&to_value(CharDelimiterSplit::new(' ')).unwrap(), PRE_TOKENIZERS).is_ok());
        assert!(check_part(&json!({ "type": DELIMITER, "length": 0 }), PRE_TOKENIZERS).is_err());
        assert!(check_part(&json!({ "type": BERT, "pattern": { "Regex": "a" }, "content": "" }), NORMALIZERS).is_err());
    }
}
