// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Wherever a stream is split, its concatenated pieces equal the result of the whole.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use super::texts::{DIALECTS, Dialect, Part, Text, texts};
use super::*;
use crate::tokenizer::output::tests::joined;
use crate::tokenizer::output::{OutputParser, Piece, ToolSpec};

pub static TEXTS: LazyLock<Vec<Text>> = LazyLock::new(|| texts(500));

/// A kind of tokenizer.
pub struct Kind {
    pub name: &'static str,
    pub tokenizer: Tokenizer,
    /// Whether text is returned up to an incomplete character.
    prompt: bool,
}

pub fn kinds() -> Vec<Kind> {
    let with_decoder = |mut definition: Value, decoder: Value| {
        definition["decoder"] = decoder;
        definition
    };
    let metaspace = unigram()["decoder"].clone();
    let gemma = json!({ "type": "Sequence", "decoders": [
        { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
        { "type": "ByteFallback" },
        { "type": "Fuse" },
    ] });
    let t5 = json!({ "type": "Sequence", "decoders": [{ "type": "ByteFallback" }, metaspace] });
    let word_piece = json!({ "type": "WordPiece", "prefix": "##", "cleanup": false });
    let end_of_word = json!({ "type": "BPEDecoder", "suffix": "l" });
    let config = [("tokenizer_config.json", r#"{ "clean_up_tokenization_spaces": true }"#)];
    let cleaned = load_with(&with_decoder(characters(unigram()), word_piece.clone()), &config).unwrap();
    let kind = |name, definition: Value, prompt| Kind { name, tokenizer: load(&definition).unwrap(), prompt };
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    let demo =
        Kind { name: "models/demo", tokenizer: Tokenizer::from_dir(&demo, ClassRule::Named).unwrap(), prompt: true };
    vec![
        kind("byte-level", with_markers(byte_level()), true),
        kind("SentencePiece", with_markers(sentencepiece()), false),
        demo,
        kind("Gemma", with_decoder(sentencepiece(), gemma), false),
        kind("Metaspace", characters(unigram()), true),
        kind("Metaspace with bytes", with_decoder(sentencepiece(), t5), false),
        kind("no decoder", with_decoder(characters(unigram()), Value::Null), true),
        kind("WordPiece", with_decoder(characters(unigram()), word_piece), true),
        Kind { name: "cleaned up", tokenizer: cleaned, prompt: false },
        kind("end of word", with_decoder(byte_level(), end_of_word), false),
    ]
}

/// Makes the tags special tokens.
fn with_markers(mut definition: Value) -> Value {
    let markers: BTreeSet<&str> = DIALECTS.iter().flat_map(|dialect| parser(dialect).markers().to_vec()).collect();
    let first = definition["model"]["vocab"].as_object().unwrap().len() + 10;
    let tokens = definition["added_tokens"].as_array_mut().unwrap();
    tokens.retain(|token| !markers.contains(token["content"].as_str().unwrap()));
    tokens.extend(markers.iter().enumerate().map(|(index, marker)| added(first + index, marker, true)));
    definition
}

/// Adds the texts' characters to the vocabulary.
fn characters(mut definition: Value) -> Value {
    let all: BTreeSet<char> = TEXTS.iter().flat_map(|text| text.lossy().chars().collect::<Vec<_>>()).collect();
    let vocab = definition["model"]["vocab"].as_array_mut().unwrap();
    let known: HashSet<String> = vocab.iter().map(|entry| entry[0].as_str().unwrap().to_owned()).collect();
    vocab.extend(all.into_iter().map(String::from).filter(|c| !known.contains(c)).map(|c| json!([c, -2.5])));
    definition
}

pub fn ids(tokenizer: &Tokenizer, text: &Text) -> Vec<u32> {
    let byte_id = |byte: &u8| {
        let letter = (' '..='\u{143}').find(|c| byte_of_char(*c) == Some(*byte)).unwrap();
        let id = |token: &str| tokenizer.token_to_id(token);
        id(&format!("<0x{byte:02X}>")).or_else(|| id(&letter.to_string()))
    };
    let part_ids = |part: &Part| match part {
        Part::Valid(text) => tokenizer.encode(text, false).unwrap(),
        Part::Bytes(bytes) => bytes.iter().filter_map(byte_id).collect(),
    };
    text.parts.iter().flat_map(part_ids).collect()
}

pub fn parser(dialect: &Dialect) -> OutputParser {
    let tool = json!({ "type": "function", "function": {
        "name": "f", "parameters": { "properties": { "a": { "type": "string" } } },
    } });
    OutputParser::new(dialect.format, dialect.reasoning, &[ToolSpec::from_json(&tool).unwrap()])
}

pub fn parse<'a>(dialect: &Dialect, parts: impl IntoIterator<Item = &'a str>) -> Vec<Piece> {
    let mut parser = parser(dialect);
    let mut pieces: Vec<Piece> = parts.into_iter().flat_map(|part| parser.push(part)).collect();
    pieces.extend(parser.finish());
    joined(pieces)
}

fn borders(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices().map(|(at, _)| text.split_at(at))
}

#[test]
fn detokenized_pieces_equal_the_text_for_every_split() {
    for Kind { name, tokenizer, prompt } in kinds() {
        for text in TEXTS.iter() {
            let ids = ids(&tokenizer, text);
            let whole = tokenizer.decode(&ids, true).unwrap();
            let mut detokenizer = tokenizer.detokenizer();
            let mut so_far = String::new();
            for end in 1..=ids.len() {
                so_far.push_str(&detokenizer.push(ids[end - 1]).unwrap());
                assert!(whole.starts_with(&so_far), "{name}: {so_far:?} begins {whole:?}");
                let cut = tokenizer.decode(&ids[..end], true).unwrap();
                let rest = detokenizer.clone().finish().unwrap();
                assert_eq!(so_far.clone() + &rest, cut, "{name}: {end} tokens of {whole:?}");
                if prompt && !whole.contains('\u{fffd}') {
                    assert_eq!(so_far, cut.trim_end_matches('\u{fffd}'), "{name}: {whole:?}");
                }
            }
            assert_eq!(so_far + &detokenizer.finish().unwrap(), whole, "{name}");
        }
    }
}

#[test]
fn byte_level_tokens_decode_to_the_original_text() {
    let tokenizer = load(&byte_level()).unwrap();
    for text in TEXTS.iter() {
        let mut detokenizer = tokenizer.detokenizer().keeping(&["<|end|>"]);
        let pieces = ids(&tokenizer, text).into_iter().map(|id| detokenizer.push(id).unwrap());
        assert_eq!(pieces.collect::<String>() + &detokenizer.finish().unwrap(), text.lossy());
    }
}

#[test]
fn parsed_pieces_are_equal_for_every_split() {
    for dialect in &DIALECTS {
        let (mut with_calls, mut with_reasoning) = (0, 0);
        for text in TEXTS.iter().map(Text::lossy) {
            let whole = parse(dialect, [text.as_str()]);
            for (prefix, rest) in borders(&text) {
                assert_eq!(parse(dialect, [prefix, rest]), whole, "{:?}: {prefix:?}, {rest:?}", dialect.format);
            }
            let characters = text.split_inclusive(|_| true);
            assert_eq!(parse(dialect, characters), whole, "{:?}: {text:?}", dialect.format);
            with_reasoning += usize::from(whole.iter().any(|piece| matches!(piece, Piece::Reasoning(_))));
            if whole.iter().any(|piece| matches!(piece, Piece::ToolCall { .. })) {
                with_calls += 1;
            } else {
                assert!(is_all_of(&text, &whole, dialect), "{:?}: {text:?} became {whole:?}", dialect.format);
            }
        }
        assert_eq!(with_calls > 2, dialect.format != ToolFormat::None, "{:?}", dialect.format);
        assert_eq!(with_reasoning > 2, dialect.reasoning != ReasoningFormat::None, "{:?}", dialect.reasoning);
    }
}

/// Whether the pieces contain all of a text except the reasoning tags.
fn is_all_of(text: &str, pieces: &[Piece], dialect: &Dialect) -> bool {
    let mut output: Vec<(char, bool)> = vec![];
    for piece in pieces {
        match piece {
            Piece::Text(part) => output.extend(part.chars().map(|c| (c, false))),
            Piece::Reasoning(part) => output.extend(part.chars().map(|c| (c, true))),
            Piece::ToolCallDelta { .. } | Piece::ToolCall { .. } => {}
        }
    }
    // Position in the text, length of the output, whether in reasoning.
    let mut ways = vec![(0, 0, false)];
    let mut seen = HashSet::new();
    while let Some(way @ (at, given, reasoning)) = ways.pop() {
        if !seen.insert(way) {
            continue;
        }
        let Some(c) = text[at..].chars().next() else {
            if given == output.len() {
                return true;
            }
            continue;
        };
        if output.get(given) == Some(&(c, reasoning)) {
            ways.push((at + c.len_utf8(), given + 1, reasoning));
        }
        if dialect.reasoning == ReasoningFormat::Harmony {
            ways.extend(harmony_tag(text, at).map(|(length, to)| (at + length, given, to)));
            ways.extend(header(text, at).map(|_| (at, given, false)));
            ways.extend(without_message(text, at).map(|length| (at + length, given, false)));
        } else {
            let tag = dialect.tags[usize::from(reasoning)];
            let is_tag = !tag.is_empty() && text[at..].starts_with(tag);
            ways.extend(is_tag.then_some((at + tag.len(), given, !reasoning)));
        }
    }
    false
}

const HARMONY: [&str; 6] = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"];
/// The tags that begin or continue a header.
const HARMONY_HEADER: [&str; 2] = ["<|start|>", "<|channel|>"];

/// Returns the length of a message's header or end, and whether it leads to reasoning.
fn harmony_tag(text: &str, at: usize) -> Option<(usize, bool)> {
    let (before, rest) = text.split_at(at);
    let last = HARMONY.iter().filter_map(|tag| Some((before.rfind(tag)?, *tag))).max();
    let in_header = last.map_or(header(text, 0).is_some(), |(_, tag)| HARMONY_HEADER.contains(&tag));
    let ends_message = |tag: &&&str| !HARMONY_HEADER.contains(tag) && rest.starts_with(**tag);
    if let Some(tag) = HARMONY.iter().find(ends_message).filter(|_| !in_header) {
        return Some((tag.len(), false));
    }
    let (header, _) = header(text, at)?.split_once("<|message|>")?;
    let channel = header.split_once("<|channel|>").map_or("", |(_, channel)| channel.trim_start());
    let channel = channel.split(|c: char| c.is_whitespace() || c == '<').next();
    Some((header.len() + "<|message|>".len(), channel == Some("analysis")))
}

/// Returns the rest of the text if it starts with a complete or incomplete header, which ends the previous message.
fn header(text: &str, at: usize) -> Option<&str> {
    let rest = &text[at..];
    let is_recipient = at == 0 && rest.trim_start().starts_with("to=");
    (is_recipient || HARMONY_HEADER.iter().any(|tag| rest.starts_with(tag))).then_some(rest)
}

/// Returns the length of a header that no message follows.
fn without_message(text: &str, at: usize) -> Option<usize> {
    let rest = header(text, at)?;
    let first = HARMONY.iter().find(|tag| rest.starts_with(**tag)).map_or(0, |tag| tag.len());
    let ends =
        HARMONY.iter().filter(|tag| **tag != "<|channel|>").filter_map(|tag| Some((rest[first..].find(tag)?, *tag)));
    match ends.min() {
        Some((_, "<|message|>")) => None,
        Some((length, "<|start|>")) => Some(first + length),
        Some((length, tag)) => Some(first + length + tag.len()),
        None => Some(rest.len()),
    }
}

#[test]
fn a_stop_string_is_found_for_every_split() {
    let mut numbers = Numbers(3);
    for text in TEXTS.iter().map(Text::lossy) {
        let Some(stop) = stop_of(&text, &mut numbers) else { continue };
        let end = text.find(&stop).unwrap_or(text.len());
        let stops = [stop.clone(), stop.clone() + "\u{10ffff}"];
        for (prefix, rest) in borders(&text) {
            let mut matcher = StopMatcher::new(stops.to_vec());
            let outcomes = [prefix, rest].map(|part| matcher.push(part, 0));
            let emitted = outcomes.clone().map(|outcome| outcome.emit).concat() + &matcher.finish();
            assert_eq!(emitted, text[..end], "{prefix:?} {rest:?} {stop:?}");
            let matched = outcomes.into_iter().find_map(|outcome| outcome.matched);
            assert_eq!(matched, (end < text.len()).then(|| stop.clone()));
        }
    }
}

/// Returns a part of the text, or almost one.
pub fn stop_of(text: &str, numbers: &mut Numbers) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return None;
    }
    let start = numbers.index(characters.len());
    let mut stop: String = characters[start..].iter().take(1 + numbers.index(8)).collect();
    if numbers.below(3) == 0 {
        stop.push('!');
    }
    Some(stop)
}

/// Returns the text of the tokens, without special tokens that are not tags.
pub fn kept(tokenizer: &Tokenizer, ids: &[u32], dialect: &Dialect) -> String {
    let parser = parser(dialect);
    let is_kept = |id: &u32| {
        let token = tokenizer.id_to_token(*id).unwrap_or_default();
        parser.markers().contains(&token.as_str())
            || !tokenizer.definition.get_added_vocabulary().is_special_token(&token)
    };
    tokenizer.decode(&ids.iter().copied().filter(is_kept).collect::<Vec<_>>(), false).unwrap()
}
