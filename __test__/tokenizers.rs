// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Published tokenizers against transformers: encoding, decoding and chat templates.
//!
//! `node scripts/tokenizers.mjs` fetches them into target/tokenizers; tools/parity/real_tokenizers.py made the goldens in
//! __test__/tokenizers, and says what they hold.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::{collections::BTreeMap, fs, path::Path};

use node_mlx::{
    models::tokenizer_class,
    tokenizer::{TemplateOptions, Tokenizer},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Where `node scripts/tokenizers.mjs` puts the tokenizers.
const TOKENIZERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tokenizers");
const GOLDENS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/__test__/tokenizers");
const NAMES: [&str; 5] = ["deepseek_v3", "gemma3", "gptoss", "llama3_1", "qwen3"];

#[derive(Deserialize)]
struct Inputs {
    texts: Vec<String>,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Value,
    tools: Option<Value>,
    #[serde(default)]
    add_generation_prompt: bool,
}

#[derive(Deserialize)]
struct Golden {
    ids: Vec<Vec<u32>>,
    /// By the number of the text.
    decoded: BTreeMap<String, String>,
    #[serde(default)]
    rendered: Vec<Option<String>>,
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(name: &str, golden: &Golden, inputs: &Inputs, problems: &mut Vec<String>) {
    let folder = Path::new(TOKENIZERS).join(name);
    assert!(folder.is_dir(), "{} is missing: run node scripts/tokenizers.mjs", folder.display());
    let config: Map<String, Value> = read(&folder.join("config.json"));
    let tokenizer = Tokenizer::from_dir(&folder, tokenizer_class(&config).expect("a known type")).expect("a tokenizer");
    assert_eq!(golden.ids.len(), inputs.texts.len(), "{name}");
    for (index, (text, wanted)) in inputs.texts.iter().zip(&golden.ids).enumerate() {
        let ids = tokenizer.encode(text, true).expect("token ids");
        if ids != *wanted {
            problems.push(format!("{name}: {text:?} is encoded as {ids:?}, not {wanted:?}"));
        }
        let decoded = tokenizer.decode(wanted, true).expect("a text");
        let wanted = golden.decoded.get(&index.to_string()).unwrap_or(text);
        if decoded != *wanted {
            problems.push(format!("{name}: text {index} is decoded as {decoded:?}, not {wanted:?}"));
        }
    }
    // GPT-OSS's package has no template.
    let expected = if name.starts_with("gptoss") { 0 } else { inputs.conversations.len() };
    assert_eq!(golden.rendered.len(), expected, "{name}");
    for (index, (conversation, wanted)) in inputs.conversations.iter().zip(&golden.rendered).enumerate() {
        let options = TemplateOptions {
            add_generation_prompt: conversation.add_generation_prompt,
            tools: conversation.tools.clone(),
            ..TemplateOptions::default()
        };
        let rendered = match tokenizer.apply_chat_template(&conversation.messages, &options) {
            Ok(text) => Some(text),
            // Where transformers fails, so must the template, and nothing else.
            Err(error) => {
                assert_eq!(error.code(), "ERR_CHAT_TEMPLATE", "{name}");
                None
            }
        };
        if rendered != *wanted {
            problems.push(format!("{name}: conversation {index} is rendered as\n{rendered:?}\nnot\n{wanted:?}"));
        }
    }
}

#[test]
fn published_tokenizers_do_what_transformers_does() {
    let inputs: Inputs = read(&Path::new(GOLDENS).join("texts.json"));
    let mut problems = Vec::new();
    let mut seen = Vec::new();
    for entry in fs::read_dir(GOLDENS).expect("goldens") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "texts" {
            check(&name, &read(&path), &inputs, &mut problems);
            seen.extend(name.split('-').next().map(str::to_owned));
        }
    }
    seen.sort();
    assert_eq!(seen, NAMES);
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
