// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The decoders of tokenizer.json, one token at a time.
//!
//! Each stage returns the text that is certain and keeps the rest, so the concatenated pieces equal
//! what the tokenizers crate decodes from all tokens at once. (Its own `DecodeStream` repeatedly
//! decodes a window, fails on text that a decoder rewrites, and takes a real U+FFFD for an
//! unfinished character.)

use serde_json::Value;
use tokenizers::{Decoder as _, DecoderWrapper};

/// The replacements that transformers (tokenization_utils_base.py) makes in texts decoded from words, in this order.
const CLEAN_UP: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Removes the spaces that decoding adds before punctuation and contractions.
pub fn clean_up(text: &str) -> String {
    CLEAN_UP.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Decodes a stream of tokens.
#[derive(Clone)]
pub struct StreamDecoder {
    stages: Vec<Stage>,
}

#[derive(Clone)]
enum Stage {
    /// No decoder: tokens separated by spaces.
    Spaced { first: bool },
    /// Each token on its own.
    Each(DecoderWrapper),
    /// Bytes written as printable characters.
    Bytes { pending: Vec<u8> },
    /// `<0x..>` tokens: a run of them is text only if it is valid UTF-8.
    ByteRuns { run: Vec<u8> },
    /// The first token differs from the others.
    First { first: bool, head: DecoderWrapper },
    /// Removes a character up to `left` times from the start of the text.
    TrimStart { content: char, left: usize },
    /// The last token differs from the others.
    Last { decoder: DecoderWrapper, held: Option<String> },
    /// Replaces one text by another, also across tokens.
    Replace { from: &'static str, to: &'static str, held: String },
    /// A decoder that needs all tokens.
    Whole { decoder: DecoderWrapper, tokens: Vec<String> },
}

impl StreamDecoder {
    /// Creates the stages equivalent to `decoder`, followed by [`clean_up`] if set.
    pub fn new(decoder: Option<&DecoderWrapper>, clean_up: bool) -> Self {
        let whole = |decoder: &DecoderWrapper| vec![Stage::Whole { decoder: decoder.clone(), tokens: Vec::new() }];
        let mut stages = match decoder {
            Some(decoder) => stages_of(decoder).unwrap_or_else(|| whole(decoder)),
            None => vec![Stage::Spaced { first: true }],
        };
        if clean_up {
            stages.extend(CLEAN_UP.map(|(from, to)| Stage::Replace { from, to, held: String::new() }));
        }
        Self { stages }
    }

    /// Decodes as behind other text, of which nothing is left to remove.
    #[must_use]
    pub fn inside(mut self) -> Self {
        for stage in &mut self.stages {
            match stage {
                Stage::Spaced { first } | Stage::First { first, .. } => *first = false,
                Stage::TrimStart { left, .. } => *left = 0,
                _ => {}
            }
        }
        self
    }

    /// The bytes that a token adds in the middle of a text; `None` if they depend on other tokens.
    pub fn bytes(&self, token: String) -> tokenizers::Result<Option<Vec<u8>>> {
        let mut text = token;
        let mut bytes = None;
        for stage in &self.stages {
            text = match stage {
                Stage::TrimStart { .. } => continue,
                _ if bytes.is_some() => return Ok(None),
                Stage::Each(decoder) => decoder.decode_chain(vec![text])?.concat(),
                Stage::First { head, .. } => decode_after(head, text, false)?.concat(),
                Stage::Last { decoder, .. } => first_of(decoder.decode_chain(vec![text, String::new()])?).concat(),
                Stage::Bytes { .. } => {
                    bytes = Some(bytes_of_letters(&text));
                    continue;
                }
                Stage::ByteRuns { .. } => {
                    bytes = byte_of_token(&text).map(|byte| vec![byte]);
                    continue;
                }
                Stage::Spaced { .. } | Stage::Replace { .. } | Stage::Whole { .. } => return Ok(None),
            }
        }
        Ok(Some(bytes.unwrap_or_else(|| text.into_bytes())))
    }

    /// Adds the next token. Returns the text that is now certain.
    pub fn push(&mut self, token: String) -> tokenizers::Result<String> {
        let mut pieces = vec![token];
        for stage in &mut self.stages {
            let mut next = Vec::new();
            for piece in pieces {
                next.extend(stage.push(piece)?);
            }
            pieces = next;
        }
        Ok(pieces.concat())
    }

    /// Ends the text. Returns the rest.
    pub fn finish(&mut self) -> tokenizers::Result<String> {
        let mut pieces = Vec::new();
        for stage in &mut self.stages {
            let mut next = Vec::new();
            for piece in pieces {
                next.extend(stage.push(piece)?);
            }
            next.extend(stage.finish()?);
            pieces = next;
        }
        Ok(pieces.concat())
    }
}

impl Stage {
    fn push(&mut self, token: String) -> tokenizers::Result<Vec<String>> {
        Ok(match self {
            Self::Spaced { first } => {
                if std::mem::replace(first, false) {
                    vec![token]
                } else {
                    vec![format!(" {token}")]
                }
            }
            Self::Each(decoder) => decoder.decode_chain(vec![token])?,
            Self::Bytes { pending } => {
                pending.extend(bytes_of_letters(&token));
                let complete = pending.len() - unfinished_len(pending);
                let rest = pending.split_off(complete);
                let bytes = std::mem::replace(pending, rest);
                vec![String::from_utf8_lossy(&bytes).into_owned()]
            }
            Self::ByteRuns { run } => match byte_of_token(&token) {
                Some(byte) => {
                    run.push(byte);
                    vec![]
                }
                None => text_of_run(run).into_iter().chain([token]).collect(),
            },
            Self::First { first, head } => {
                let is_first = std::mem::replace(first, false);
                decode_after(head, token, is_first)?
            }
            Self::TrimStart { content, left } => {
                let mut text = token.as_str();
                while *left > 0 && !text.is_empty() {
                    match text.strip_prefix(*content) {
                        Some(rest) => {
                            text = rest;
                            *left -= 1;
                        }
                        None => *left = 0,
                    }
                }
                vec![text.to_owned()]
            }
            Self::Last { decoder, held } => match held.replace(token) {
                // Decoded with a token after it, so that it is not treated as the last.
                Some(earlier) => first_of(decoder.decode_chain(vec![earlier, String::new()])?),
                None => vec![],
            },
            Self::Replace { from, to, held } => {
                held.push_str(&token);
                let mut text = String::new();
                let mut rest = held.as_str();
                while let Some((before, after)) = rest.split_once(*from) {
                    text.extend([before, to]);
                    rest = after;
                }
                // A suffix of `rest` that is a prefix of the text to replace is held back.
                let starts = from.char_indices().skip(1).filter_map(|(end, _)| from.get(..end));
                let begun = starts.filter(|start| rest.ends_with(start)).last().unwrap_or_default();
                text.push_str(rest.strip_suffix(begun).unwrap_or(rest));
                *held = begun.to_owned();
                vec![text]
            }
            Self::Whole { tokens, .. } => {
                tokens.push(token);
                vec![]
            }
        })
    }

    fn finish(&mut self) -> tokenizers::Result<Vec<String>> {
        Ok(match self {
            Self::Bytes { pending } => {
                vec![String::from_utf8_lossy(&std::mem::take(pending)).into_owned()]
            }
            Self::ByteRuns { run } => text_of_run(run),
            Self::Last { decoder, held } => match held.take() {
                Some(token) => decoder.decode_chain(vec![token])?,
                None => vec![],
            },
            Self::Replace { held, .. } => vec![std::mem::take(held)],
            Self::Whole { decoder, tokens } if !tokens.is_empty() => decoder.decode_chain(std::mem::take(tokens))?,
            _ => vec![],
        })
    }
}

/// Returns the stages, if the decoder is known to work locally.
fn stages_of(decoder: &DecoderWrapper) -> Option<Vec<Stage>> {
    let parts = match decoder {
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders(),
        single => std::slice::from_ref(single),
    };
    let mut stages = Vec::new();
    // Whether pieces are fragments of one fused token at this point, rather than tokens.
    let mut fused = false;
    for part in parts {
        match part {
            DecoderWrapper::Fuse(_) => fused = true,
            DecoderWrapper::ByteLevel(_) if !fused => {
                stages.push(Stage::Bytes { pending: vec![] });
                fused = true;
            }
            DecoderWrapper::ByteFallback(_) if !fused => {
                stages.push(Stage::ByteRuns { run: vec![] });
            }
            DecoderWrapper::Metaspace(_) | DecoderWrapper::WordPiece(_) if !fused => {
                stages.push(Stage::First { first: true, head: part.clone() });
            }
            DecoderWrapper::BPE(_) if !fused => stages.push(Stage::Last { decoder: part.clone(), held: None }),
            DecoderWrapper::Strip(strip) if fused && strip.stop == 0 => {
                stages.push(Stage::TrimStart { content: strip.content, left: strip.start });
            }
            DecoderWrapper::Replace(_) if fused && !replaces_one_char(part) => return None,
            DecoderWrapper::Replace(_) => stages.push(Stage::Each(part.clone())),
            DecoderWrapper::Strip(_) if !fused => stages.push(Stage::Each(part.clone())),
            _ => return None,
        }
    }
    Some(stages)
}

/// Whether a Replace decoder matches single characters, so that it can process fragments.
fn replaces_one_char(replace: &DecoderWrapper) -> bool {
    serde_json::to_value(replace).is_ok_and(|value| {
        let pattern = value.pointer("/pattern/String").and_then(Value::as_str);
        pattern.is_some_and(|pattern| pattern.chars().count() == 1)
    })
}

fn decode_after(decoder: &DecoderWrapper, token: String, is_first: bool) -> tokenizers::Result<Vec<String>> {
    if is_first {
        return decoder.decode_chain(vec![token]);
    }
    let mut decoded = decoder.decode_chain(vec![String::new(), token])?;
    Ok(decoded.pop().into_iter().collect())
}

fn first_of(decoded: Vec<String>) -> Vec<String> {
    decoded.into_iter().take(1).collect()
}

/// The bytes of a token of byte-level BPE; an added token is written as it is.
fn bytes_of_letters(token: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(byte_of_char).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Byte-level BPE writes byte b as the b-th character of a printable alphabet.
pub(super) fn byte_of_char(c: char) -> Option<u8> {
    let code = u32::from(c);
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        // The unprintable bytes are mapped to U+0100 and up, in order.
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}

fn byte_of_token(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() != 2 {
        return None;
    }
    u8::from_str_radix(hex, 16).ok()
}

fn text_of_run(run: &mut Vec<u8>) -> Vec<String> {
    let length = run.len();
    match String::from_utf8(std::mem::take(run)) {
        Ok(text) if text.is_empty() => vec![],
        Ok(text) => vec![text],
        Err(_) => vec!["\u{fffd}".to_owned(); length],
    }
}

/// Returns the number of bytes at the end that may be the start of a character.
fn unfinished_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(_) => return 0,
            Err(error) => {
                let valid = error.valid_up_to();
                match error.error_len() {
                    None => return rest.len() - valid,
                    Some(bad) => rest = rest.get(valid + bad..).unwrap_or_default(),
                }
            }
        }
    }
}
