// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Compares tokenizers of every kind with mlx-lm's results, written by tools/parity/tokenizer_goldens.py.

use super::*;
use crate::tokenizer::class::Class;

fn goldens() -> Value {
    serde_json::from_str(include_str!("../../../__test__/fixtures/tokenizers.json")).unwrap()
}

/// Runs a check on each tokenizer, and reports all failures together.
fn for_each(check: impl Fn(&Value, &Value, &Tokenizer, &mut Vec<String>)) {
    let goldens = goldens();
    let mut problems = vec![];
    for golden in goldens["tokenizers"].as_array().unwrap() {
        let name = golden["name"].as_str().unwrap();
        let mut own = vec![];
        match load_golden(&goldens, &golden["files"]) {
            Ok(tokenizer) => check(&goldens, golden, &tokenizer, &mut own),
            Err(error) => own.push(error.to_string()),
        }
        problems.extend(own.into_iter().take(3).map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn load_golden(goldens: &Value, files: &Value) -> Result<Tokenizer> {
    let texts = files
        .as_object()
        .unwrap()
        .iter()
        .map(|(file, content)| (file.as_str(), file_text(&goldens["models"], file, content)));
    let texts: Vec<(&str, String)> = texts.collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (*file, text.as_str())).collect();
    Tokenizer::from_dir(Folder::new(&texts).path(), rule(&goldens["classes"], &files["config.json"]))
}

/// The rule of a config's `model_type`, by what transformers loads for it with and without a class named.
fn rule(classes: &Value, config: &Value) -> ClassRule {
    let other = classes["named"].as_array().unwrap().iter().position(|named| named == "CodeLlamaTokenizer").unwrap();
    let loaded = &classes["llama2"][config["model_type"].as_str().unwrap()];
    let class = Class::from_name(loaded[0].as_str().unwrap());
    if loaded[other] == "CodeLlamaTokenizer" { ClassRule::NamedOr(class) } else { ClassRule::Always(class) }
}

/// Returns a file with its shared vocabulary inserted.
fn file_text(models: &Value, file: &str, content: &Value) -> String {
    let shared = |content: &Value| models[content["from"].as_str().unwrap()].clone();
    match file {
        "vocab.json" => shared(content)["vocab"].to_string(),
        "merges.txt" => {
            let merges = shared(content)["merges"].clone();
            let lines = merges
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
            "#version: 0.2\n".to_owned() + &lines.collect::<String>()
        }
        "tokenizer.json" => {
            let mut whole = content.clone();
            let mut model = shared(&content["model"]);
            let changes = content["model"].as_object().unwrap().iter().filter(|(field, _)| *field != "from");
            model.as_object_mut().unwrap().extend(changes.map(|(field, value)| (field.clone(), value.clone())));
            whole["model"] = model;
            whole.to_string()
        }
        _ => content.to_string(),
    }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn check<T: PartialEq + std::fmt::Debug>(problems: &mut Vec<String>, what: &str, ours: T, theirs: T) {
    if ours != theirs {
        problems.push(format!("{what}: {ours:?} instead of {theirs:?}"));
    }
}

/// Checks decoding with and without special tokens, at once and streamed.
fn check_decoding(tokenizer: &Tokenizer, case: &Value, ids: &[u32], text: &Value, problems: &mut Vec<String>) {
    let decoded = case.get("decoded").unwrap_or(text);
    let skipped = case.get("skipped").unwrap_or(decoded).as_str().unwrap();
    check(problems, &format!("{text} decoded"), &*tokenizer.decode(ids, false).unwrap(), decoded.as_str().unwrap());
    check(problems, &format!("{text} skipped"), &*tokenizer.decode(ids, true).unwrap(), skipped);
    check(problems, &format!("{text} streamed"), &*stream(tokenizer, ids).concat(), skipped);
}

#[test]
fn texts_are_encoded_and_decoded_as_by_mlx_lm() {
    for_each(|goldens, golden, tokenizer, problems| {
        let [before, behind] = [0, 1].map(|side| ids(&golden["around"][side]));
        let texts = goldens["texts"].as_array().unwrap();
        for (text, case) in texts.iter().zip(golden["cases"].as_array().unwrap()) {
            let encode = |special, split| tokenizer.encode_splitting(text.as_str().unwrap(), special, split).unwrap();
            let plain = ids(&case["ids"]);
            let whole = [before.clone(), plain.clone(), behind.clone()].concat();
            let split = case.get("split").map_or_else(|| plain.clone(), ids);
            check(problems, &text.to_string(), tokenizer.encode(text.as_str().unwrap(), true).unwrap(), whole.clone());
            check(problems, &format!("{text} alone"), tokenizer.encode(text.as_str().unwrap(), false).unwrap(), plain);
            check(problems, &format!("{text} split"), encode(false, true), split);
            check_decoding(tokenizer, case, &whole, text, problems);
        }
    });
}

#[test]
fn random_tokens_are_decoded_as_by_mlx_lm() {
    for_each(|_, golden, tokenizer, problems| {
        for case in golden["random"].as_array().unwrap() {
            check_decoding(tokenizer, case, &ids(&case["ids"]), &case["ids"], problems);
        }
    });
}

#[test]
fn special_tokens_have_mlx_lms_names_and_ids() {
    for_each(|_, golden, tokenizer, problems| {
        let expected = golden["special_tokens"].as_object().unwrap().clone();
        check(problems, "special tokens", tokenizer.config.special_tokens.clone(), expected);
        let eos: Vec<u32> = tokenizer.eos_token_id().into_iter().collect();
        check(problems, "EOS", eos, ids(&golden["eos_token_ids"]));
    });
}

#[test]
fn chats_and_sanitized_chats_are_encoded_as_by_mlx_lm() {
    for_each(|goldens, golden, tokenizer, problems| {
        let Some(chat) = golden.get("chat") else { return };
        let options = TemplateOptions { add_generation_prompt: true, ..TemplateOptions::default() };
        let mut messages = goldens["chat"].clone();
        let text = tokenizer.apply_chat_template(&messages, &options).unwrap();
        check(problems, "chat", text.as_str(), chat["text"].as_str().unwrap());
        check(problems, "chat", tokenizer.encode(&text, false).unwrap(), ids(&chat["ids"]));
        tokenizer.control_tokens().unwrap().mark(&mut messages);
        let marked = tokenizer.apply_chat_template(&messages, &options).unwrap();
        check(problems, "sanitized chat", tokenizer.encode_marked(&marked).unwrap(), ids(&chat["sanitized"]));
    });
}
