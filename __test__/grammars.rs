// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Published tokenizers held to a schema: their tokens as bytes, and the values that can be written with them.
//!
//! `node scripts/tokenizers.mjs` fetches them into target/tokenizers.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::{fs, path::Path, sync::Arc};

use node_mlx::{
    grammar::{Calls, Extent, Grammars, Source},
    models::tokenizer_class,
    tokenizer::{
        TokenText, Tokenizer,
        output::{OutputParser, Piece, ToolFormat, ToolSpec},
    },
};
use serde_json::{Map, Value, json};

/// Where `node scripts/tokenizers.mjs` puts the tokenizers.
const TOKENIZERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tokenizers");
const TEXTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/tokenizers/texts.json");
const NAMES: [&str; 5] = ["deepseek_v3", "gemma3", "gptoss", "llama3_1", "qwen3"];

fn load(name: &str) -> Arc<Tokenizer> {
    let folders = fs::read_dir(TOKENIZERS).expect("run node scripts/tokenizers.mjs");
    let mut folders = folders.map(|folder| folder.expect("a folder").path());
    let folder = folders.find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)));
    let folder = folder.unwrap_or_else(|| panic!("{name} is missing: run node scripts/tokenizers.mjs"));
    let config = fs::read_to_string(folder.join("config.json")).expect("a config");
    let config: Map<String, Value> = serde_json::from_str(&config).expect("a config");
    Arc::new(Tokenizer::from_dir(&folder, tokenizer_class(&config).expect("a known type")).expect("a tokenizer"))
}

fn size(tokenizer: &Tokenizer) -> usize {
    tokenizer.largest_id().max(tokenizer.largest_added_id()) as usize + 1
}

#[test]
fn tokens_are_the_bytes_that_decoding_adds_for_them() {
    let texts: Value = serde_json::from_str(&fs::read_to_string(Path::new(TEXTS)).expect("texts")).expect("texts");
    for name in NAMES {
        let tokenizer = load(name);
        let bytes = tokenizer.token_texts(size(&tokenizer)).expect("texts").expect("each token has a text");
        for text in texts["texts"].as_array().expect("texts") {
            let ids = tokenizer.encode(text.as_str().expect("a text"), false).expect("ids");
            let mut spelled = Vec::new();
            for id in &ids {
                match &bytes[*id as usize] {
                    TokenText::Bytes(bytes) => spelled.extend(bytes),
                    TokenText::Control(token) => spelled.extend(token.as_bytes()),
                    TokenText::Nothing => panic!("{name}: {id} has no token"),
                }
            }
            assert_eq!(String::from_utf8_lossy(&spelled), tokenizer.decode(&ids, false).expect("a text"), "{name}");
        }
    }
}

/// Draws tokens as a model without any idea would, but often a quote, so that strings end.
fn walk(tokenizer: &Tokenizer, grammars: &Grammars, source: Source, seed: usize) -> Vec<u32> {
    let quote = tokenizer.encode("\"", false).expect("a quote")[0];
    let mut matcher = grammars.compile(source).expect("a grammar");
    let mut tokens = matcher.force(usize::MAX).expect("tokens");
    let mut next = seed * 7919 + 17;
    while !matcher.is_done() {
        let allowed = matcher.mask().expect("a mask").choose(size(tokenizer), true, false);
        next = (next * 31_337 + 12_345) % 2_147_483_647;
        let ids: Vec<u32> = (0..allowed.len()).filter(|id| allowed[*id]).map(|id| id as u32).collect();
        let token = if allowed[quote as usize] && next.is_multiple_of(3) { quote } else { ids[next % ids.len()] };
        matcher.accept(token).expect("an allowed token");
        tokens.push(token);
        tokens.extend(matcher.force(usize::MAX).expect("tokens"));
    }
    tokens
}

#[test]
fn a_call_is_written_with_the_tokens_of_its_format() {
    let parameters = json!({
        "type": "object",
        "properties": { "city": { "type": "string", "maxLength": 20 }, "days": { "enum": [1, 2] } },
        "required": ["city", "days"],
    });
    let tools = vec![ToolSpec { name: "get_weather".to_owned(), parameters }];
    for (name, format, tag) in
        [("qwen3", ToolFormat::JsonTools, "<tool_call>"), ("gptoss", ToolFormat::Harmony, "<|channel|>")]
    {
        let tokenizer = load(name);
        let reasoning = tokenizer.reasoning_format();
        let grammars = Grammars::new(Arc::clone(&tokenizer), size(&tokenizer), vec![]);
        for seed in 0..5 {
            let calls = Calls { format, reasoning, tools: tools.clone(), extent: Extent::One };
            let tokens = walk(&tokenizer, &grammars, Source::Calls(calls), seed);
            assert_eq!(tokens.first().copied(), tokenizer.token_to_id(tag), "{name}");
            let text = tokenizer.decode(&tokens, false).expect("a text");
            let mut parser = OutputParser::new(format, reasoning, &tools);
            let mut pieces = parser.push(&text);
            pieces.extend(parser.finish());
            let Some(Piece::ToolCall { arguments, .. }) = pieces.last() else { panic!("{name}: {text}: {pieces:?}") };
            assert!(arguments["city"].as_str().expect("a city").chars().count() <= 20, "{name}: {text}");
            assert!([json!(1), json!(2)].contains(&arguments["days"]), "{name}: {text}");
        }
    }
}

#[test]
fn values_of_a_schema_are_written_with_any_tokenizer() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 20 },
            "Größe": { "type": "integer", "minimum": 10, "maximum": 99 },
            "kind": { "enum": ["<think>", "日本", "e\u{301}"] },
        },
        "required": ["name", "Größe", "kind"],
    });
    for name in NAMES {
        let tokenizer = load(name);
        let grammars = Grammars::new(Arc::clone(&tokenizer), size(&tokenizer), vec![]);
        for seed in 0..5 {
            let tokens = walk(&tokenizer, &grammars, Source::Schema(schema.clone()), seed);
            let text = tokenizer.decode(&tokens, false).expect("a text");
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text:?}"));
            assert!((10..=99).contains(&value["Größe"].as_u64().expect("a size")), "{name}: {text}");
            assert!(
                schema["properties"]["kind"]["enum"].as_array().expect("kinds").contains(&value["kind"]),
                "{name}: {text}"
            );
            assert!((1..=20).contains(&value["name"].as_str().expect("a name").chars().count()), "{name}: {text}");
        }
    }
}
