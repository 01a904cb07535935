// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

mod bytes;
mod goldens;
pub mod splits;
pub mod texts;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value, json};

use super::decoder::byte_of_char;
use super::*;
use crate::watch::{Cancel, Watch};

/// A folder that is deleted after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("node-mlx-tokenizer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(definition: &Value) -> Result<Tokenizer> {
    load_with(definition, &[])
}

fn load_with(definition: &Value, files: &[(&str, &str)]) -> Result<Tokenizer> {
    let definition = definition.to_string();
    let mut all = vec![("tokenizer.json", definition.as_str())];
    all.extend_from_slice(files);
    Tokenizer::from_dir(Folder::new(&all).path(), ClassRule::Named)
}

fn added(id: usize, content: &str, special: bool) -> Value {
    json!({ "id": id, "content": content, "special": special, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false })
}

/// All bytes, a few merges, one special and one ordinary added token.
fn byte_level() -> Value {
    let letter = |byte: u8| (' '..='\u{143}').find(|c| byte_of_char(*c) == Some(byte)).unwrap();
    let mut tokens: Vec<String> = (0..=255).map(|byte| letter(byte).to_string()).collect();
    let space = letter(b' ');
    let pairs = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o")];
    let mut merges: Vec<Value> = pairs.iter().map(|(a, b)| json!([a, b])).collect();
    tokens.extend(pairs.iter().map(|(a, b)| format!("{a}{b}")));
    // The first two bytes of most emoji, as real vocabularies have them.
    let (first, second) = (letter(0xf0), letter(0x9f));
    merges.push(json!([first, second]));
    tokens.push(format!("{first}{second}"));
    merges.push(json!([space, "hello"]));
    tokens.push(format!("{space}hello"));
    let vocab: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let count = vocab.len();
    json!({
        "added_tokens": [added(count, "<|end|>", true), added(count + 1, "<think>", false)],
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false },
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false },
        "model": { "type": "BPE", "vocab": vocab, "merges": merges },
    })
}

/// SentencePiece's BPE with byte fallback.
fn sentencepiece() -> Value {
    let mut tokens = vec!["<unk>".to_owned()];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["▁", "h", "i", "▁h", "▁hi", "a", "é", "▁▁"].map(str::to_owned));
    let vocab: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    let count = vocab.len();
    json!({
        "added_tokens": [added(0, "<unk>", true), added(count, "</s>", true)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": { "type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "vocab": vocab,
                   "merges": ["▁ h", "▁h i", "▁ ▁"] },
    })
}

fn unigram() -> Value {
    let tokens = ["<unk>", "▁", "▁hi", "h", "i", "日本", "▁日", "😀", "▁▁x"];
    let vocab: Vec<Value> = tokens.iter().map(|token| json!([token, -1.5])).collect();
    let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" });
    json!({
        "added_tokens": [added(0, "<unk>", true), added(tokens.len(), "</s>", true)],
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "model": { "type": "Unigram", "unk_id": 0, "vocab": vocab },
    })
}

fn stream(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut detokenizer = tokenizer.detokenizer();
    let mut pieces: Vec<String> = ids.iter().map(|id| detokenizer.push(*id).unwrap()).collect();
    pieces.push(detokenizer.finish().unwrap());
    pieces
}

/// Pseudo-random numbers, equal in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

#[test]
fn a_tokenizer_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
    shared::<StreamingDetokenizer>();
}

#[test]
fn pieces_of_random_ids_equal_the_decoded_text() {
    let plain = |mut definition: Value| {
        definition.as_object_mut().unwrap().remove("decoder");
        definition
    };
    let mut words = unigram();
    words["decoder"] = json!({ "type": "WordPiece", "prefix": "h", "cleanup": true });
    for definition in [byte_level(), sentencepiece(), unigram(), plain(byte_level()), words] {
        let tokenizer = load(&definition).unwrap();
        let limit = tokenizer.largest_id().max(tokenizer.largest_added_id()) + 3;
        let mut numbers = Numbers(7);
        for _ in 0..300 {
            let length = numbers.below(24);
            let ids: Vec<u32> = (0..length).map(|_| numbers.below(limit)).collect();
            let whole = tokenizer.decode(&ids, true).unwrap();
            assert_eq!(stream(&tokenizer, &ids).concat(), whole, "{ids:?}");
        }
    }
}

#[test]
fn no_piece_ends_within_a_character() {
    let texts = ["👩‍👩‍👧 hello 日本語 é", "  two  spaces ", "hello\n\n😀😀", "한국어 नमस्ते"];
    for definition in [byte_level(), sentencepiece()] {
        let tokenizer = load(&definition).unwrap();
        for text in texts {
            let ids = tokenizer.encode(text, false).unwrap();
            let pieces = stream(&tokenizer, &ids);
            assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
            assert_eq!(pieces.concat(), text);
        }
    }
}

#[test]
fn text_is_returned_as_soon_as_it_is_certain() {
    let tokenizer = load(&byte_level()).unwrap();
    let ids = tokenizer.encode("hello 😀!", false).unwrap();
    assert_eq!(stream(&tokenizer, &ids), ["hello", " ", "", "", "😀", "!", ""]);
}

#[test]
fn a_prompt_of_many_parts_ends_when_its_time_is_up() {
    let mut definition = byte_level();
    definition.as_object_mut().unwrap().remove("pre_tokenizer");
    let tokenizer = load(&definition).unwrap();
    let cancel = Cancel::default();
    let encode = || Watch::new([cancel.clone()]).over(|| tokenizer.encode_marked("a\u{f0000}b"));
    assert!(encode().is_ok());
    // The parts are too short to ask.
    cancel.cancel();
    assert!(matches!(encode(), Err(Error::TokenizeFailed { .. })));
}

#[test]
fn ids_are_not_decoded_to_a_text_that_could_be_too_long() {
    let mut definition = unigram();
    definition["decoder"] = json!({ "type": "Replace", "pattern": { "String": "h" }, "content": "b".repeat(64) });
    let tokenizer = load(&definition).unwrap();
    let id = tokenizer.token_to_id("h").unwrap();
    let decode = |count: usize| tokenizer.decode(&vec![id; count], false);
    assert_eq!(decode(10).unwrap().len(), 640);
    assert!(matches!(decode((1 << 19) + 1), Err(Error::OutOfRange { .. })));
}

#[test]
fn an_unfinished_character_is_flushed_once() {
    let tokenizer = load(&byte_level()).unwrap();
    let mut ids = tokenizer.encode("a😀", false).unwrap();
    ids.pop();
    let pieces = stream(&tokenizer, &ids);
    assert_eq!(pieces.concat(), "a\u{fffd}");
    assert_eq!(pieces.last().map(String::as_str), Some("\u{fffd}"));

    let mut detokenizer = tokenizer.detokenizer();
    detokenizer.push(ids[1]).unwrap();
    detokenizer.finish().unwrap();
    assert_eq!(detokenizer.finish().unwrap(), "");
    assert_eq!(detokenizer.push(ids[0]).unwrap(), "a");
}

#[test]
fn only_special_tokens_are_omitted() {
    let tokenizer = load(&byte_level()).unwrap();
    let ids = tokenizer.encode("a<think>b<|end|>c", false).unwrap();
    assert_eq!(ids.len(), 5);
    assert_eq!(stream(&tokenizer, &ids).concat(), "a<think>bc");
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), "a<think>b<|end|>c");
}

#[test]
fn padding_and_truncation_of_the_file_are_not_used() {
    let mut definition = byte_level();
    definition["truncation"] = json!({ "direction": "Right", "max_length": 1, "stride": 0,
                                       "strategy": "LongestFirst" });
    definition["padding"] = json!({ "strategy": { "Fixed": 1_000_000_000 } });
    let tokenizer = load(&definition).unwrap();
    assert_eq!(tokenizer.encode("abc", true).unwrap().len(), 3);
}

#[test]
fn the_config_has_tokens_as_strings_or_objects() {
    let config = json!({ "bos_token": null, "eos_token": { "content": "<|end|>", "lstrip": false },
                         "pad_token": "<think>" });
    let files = [("tokenizer_config.json", &*format!("\u{feff}{config}"))];
    let tokenizer = load_with(&byte_level(), &files).unwrap();
    assert_eq!(tokenizer.bos_token(), None);
    assert_eq!(tokenizer.eos_token(), Some("<|end|>"));
    assert_eq!(tokenizer.eos_token_id(), tokenizer.token_to_id("<|end|>"));
    assert_eq!(tokenizer.largest_added_id(), tokenizer.largest_id() + 2);
}

#[test]
fn the_template_is_chosen_as_transformers_does() {
    let messages = json!([{ "role": "user", "content": "hi" }]);
    let named = json!({ "chat_template": [
        { "name": "default", "template": "plain {{ eos_token }}" },
        { "name": "tool_use", "template": "tools {{ tools|length }}" },
    ], "eos_token": "<|end|>" })
    .to_string();
    let files = [("tokenizer_config.json", &*named)];
    let tokenizer = load_with(&byte_level(), &files).unwrap();
    let mut options = TemplateOptions::default();
    let rendered = tokenizer.apply_chat_template(&messages, &options).unwrap();
    assert_eq!(rendered, "plain <|end|>");
    options.tools = Some(json!([{}]));
    let rendered = tokenizer.apply_chat_template(&messages, &options).unwrap();
    assert_eq!(rendered, "tools 1");

    let files = [files[0], ("chat_template.jinja", "from its own file")];
    let tokenizer = load_with(&byte_level(), &files).unwrap();
    assert_eq!(tokenizer.chat_template(), Some("from its own file"));

    let files = [("chat_template.json", r#"{ "chat_template": "from JSON" }"#)];
    let tokenizer = load_with(&byte_level(), &files).unwrap();
    assert_eq!(tokenizer.chat_template(), Some("from JSON"));
}

#[test]
fn applying_a_missing_chat_template_is_an_error() {
    let tokenizer = load(&byte_level()).unwrap();
    let error = tokenizer.apply_chat_template(&json!([]), &TemplateOptions::default());
    assert_eq!(error.unwrap_err().code(), "ERR_CHAT_TEMPLATE");
}

#[test]
fn a_missing_or_corrupt_file_is_an_error() {
    let error = Tokenizer::from_dir(Folder::new(&[]).path(), ClassRule::Named).unwrap_err();
    assert_eq!(error.code(), "ERR_MODEL_FILE_MISSING");
    let deep = "[".repeat(100_000);
    for text in ["", "garbage", "{}", "null", deep.as_str()] {
        let folder = Folder::new(&[("tokenizer.json", text)]);
        let error = Tokenizer::from_dir(folder.path(), ClassRule::Named).unwrap_err();
        assert_eq!(error.code(), "ERR_TOKENIZER_INVALID", "{error}");
    }
    let files = [("tokenizer_config.json", "{")];
    let error = load_with(&byte_level(), &files).unwrap_err();
    assert_eq!(error.code(), "ERR_CONFIG_INVALID");
}

#[test]
fn a_crafted_file_is_rejected() {
    let edit = |mut definition: Value, pointer: &str, value: Value| {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[key] = value;
        definition
    };
    let doubling = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
    let stages = vec![doubling; 40];
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let strip = json!({ "type": "Strip", "content": "a", "start": 0, "stop": 9 });
    let crafted = [
        edit(byte_level(), "/decoder", strip.clone()),
        // The crate takes these for what their fields look like.
        edit(byte_level(), "/decoder", edit(strip.clone(), "/type", json!("Lowercase"))),
        edit(byte_level(), "/decoder", json!({ "content": "a", "start": 0, "stop": 9 })),
        edit(byte_level(), "/decoder", json!({ "decoders": [strip] })),
        edit(byte_level(), "/normalizer", json!({ "pattern": { "Regex": "(a*)*b" }, "content": "" })),
        edit(
            byte_level(),
            "/normalizer",
            json!({ "type": "BertNormalizer", "pattern": { "Regex": "a" }, "content": "" }),
        ),
        edit(byte_level(), "/pre_tokenizer", json!({ "length": 0 })),
        edit(unigram(), "/model/vocab", json!([])),
        edit(unigram(), "/model/unk_id", json!(9_999_999)),
        edit(unigram(), "/model/vocab", json!([["x".repeat(1_000_000), 0.0]])),
        edit(byte_level(), "/model/merges", json!([["zz", "zz"]])),
        edit(byte_level(), "/model/continuing_subword_prefix", json!("##")),
        edit(byte_level(), "/model/type", json!("Other")),
        edit(unigram(), "/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" })),
        edit(byte_level(), "/normalizer", json!({ "type": "Sequence", "normalizers": stages })),
        edit(byte_level(), "/decoder", json!({ "type": "Sequence", "decoders": stages })),
        edit(byte_level(), "/pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })),
        edit(
            byte_level(),
            "/post_processor",
            json!({ "type": "TemplateProcessing", "single": [text, text], "pair": [],
                    "special_tokens": {} }),
        ),
    ];
    for definition in crafted {
        let error = load(&definition).unwrap_err();
        assert_eq!(error.code(), "ERR_TOKENIZER_INVALID", "{error}");
    }
}

#[test]
fn a_text_that_exceeds_the_backtracking_limit_is_an_error() {
    let mut definition = byte_level();
    definition["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "Split", "pattern": { "Regex": "(?:(?=a)(a|aa)+)$b" }, "behavior": "Isolated",
          "invert": false },
        { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
          "use_regex": false },
    ] });
    let tokenizer = load(&definition).unwrap();
    let error = tokenizer.encode(&"a".repeat(100), false).unwrap_err();
    assert_eq!(error.code(), "ERR_TOKENIZE_FAILED");
    assert_eq!(tokenizer.encode("hello", false).unwrap().len(), 1);

    let mut definition = unigram();
    definition["normalizer"] = json!({ "type": "Replace", "content": "",
                                       "pattern": { "Regex": "(?:(?=a)(a|aa)+)$b" } });
    let tokenizer = load(&definition).unwrap();
    let error = tokenizer.encode(&"a".repeat(100), false).unwrap_err();
    assert_eq!(error.code(), "ERR_TOKENIZE_FAILED");
    assert!(tokenizer.encode("hi", false).is_ok());
}
