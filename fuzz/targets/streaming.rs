// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Bytes of a model's output: they stream as they decode, and neither stop strings nor the parsers depend on how they
//! are cut.
//!
//! The first byte names the format, the second the border, the third how long the stop string is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use node_mlx::tokenizer::{
    ClassRule, StopMatcher, Tokenizer,
    output::{OutputParser, Piece, ReasoningFormat, ToolFormat},
};

const FORMATS: [&str; 13] = [
    "none",
    "json_tools",
    "qwen3_coder",
    "mistral",
    "pythonic",
    "function_gemma",
    "gemma4",
    "glm47",
    "longcat",
    "kimi_k2",
    "minimax_m2",
    "minicpm5",
    "harmony",
];

thread_local! {
    static TOKENIZER: Tokenizer = Tokenizer::from_dir(&node_mlx_fuzz::fixture("llama"), ClassRule::Named).unwrap();
    /// The token of each byte.
    static IDS: Vec<u32> = TOKENIZER.with(|tokenizer| {
        (0..=u8::MAX).map(|byte| tokenizer.token_to_id(&letter(byte).to_string()).unwrap()).collect()
    });
}

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    let [format, border, stop, bytes @ ..] = data else { return };
    let text = TOKENIZER.with(|tokenizer| stream(tokenizer, bytes));
    let border = text.floor_char_boundary(usize::from(*border));
    let (before, after) = text.split_at(border);
    let characters: Vec<&str> = text.split_inclusive(|_| true).collect();

    let format = ToolFormat::from_name(FORMATS[usize::from(*format) % FORMATS.len()]).unwrap_or_default();
    let whole = parse(format, &[&text]);
    assert_eq!(parse(format, &[before, after]), whole);
    assert_eq!(parse(format, &characters), whole);

    let stop = &before[before.floor_char_boundary(before.len().saturating_sub(usize::from(*stop)))..];
    assert_eq!(until(stop, &characters), until(stop, &[&text]));
});

fn stream(tokenizer: &Tokenizer, bytes: &[u8]) -> String {
    let ids: Vec<u32> = IDS.with(|ids| bytes.iter().map(|byte| ids[usize::from(*byte)]).collect());
    let mut detokenizer = tokenizer.detokenizer();
    let mut text: String = ids.iter().map(|id| detokenizer.push(*id).unwrap()).collect();
    text += &detokenizer.finish().unwrap();
    assert_eq!(text, tokenizer.decode(&ids, true).unwrap());
    assert_eq!(text, String::from_utf8_lossy(bytes));
    text
}

/// How byte-level BPE writes a byte.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..);
    match printable(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + (0..byte).filter(|byte| !printable(*byte)).count() as u32).unwrap(),
    }
}

/// The text before the stop string.
fn until(stop: &str, parts: &[&str]) -> String {
    let mut matcher = StopMatcher::new(vec![stop.to_owned()]);
    let mut text: String = parts.iter().map(|part| matcher.push(part, 0).emit).collect();
    text += &matcher.finish();
    assert!(stop.is_empty() || !text.contains(stop));
    text
}

/// The text, the reasoning and the calls.
fn parse(format: ToolFormat, parts: &[&str]) -> (String, String, Vec<String>) {
    let reasoning = match format {
        ToolFormat::Gemma4 => ReasoningFormat::Channel,
        ToolFormat::Longcat => ReasoningFormat::Longcat,
        ToolFormat::Harmony => ReasoningFormat::Harmony,
        _ => ReasoningFormat::Think,
    };
    let mut parser = OutputParser::new(format, reasoning, &[]);
    let mut pieces: Vec<Piece> = parts.iter().flat_map(|part| parser.push(part)).collect();
    pieces.extend(parser.finish());
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), vec![]);
    for piece in pieces {
        match piece {
            Piece::Text(part) => text += &part,
            Piece::Reasoning(part) => thought += &part,
            Piece::ToolCallDelta { .. } => {}
            Piece::ToolCall { name, arguments, .. } => calls.push(format!("{name} {arguments}")),
        }
    }
    (text, thought, calls)
}
