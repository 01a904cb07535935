// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use super::*;

fn texts(tokenizer: &Tokenizer) -> Option<Vec<TokenText>> {
    let size = tokenizer.largest_id().max(tokenizer.largest_added_id()) as usize + 3;
    let texts = tokenizer.token_texts(size).unwrap()?;
    assert_eq!(texts.len(), size);
    assert_eq!(texts[size - 2..], [TokenText::Nothing, TokenText::Nothing]);
    Some(texts)
}

#[test]
fn tokens_are_the_bytes_that_decoding_adds_for_them() {
    let bytes = |bytes: &[u8]| TokenText::Bytes(bytes.to_vec());
    let control = |token: &str| TokenText::Control(token.to_owned());
    for (definition, tokens) in [
        (
            byte_level(),
            vec![
                ("Ġhello", bytes(b" hello")),
                ("ðŁ", bytes(&[0xf0, 0x9f])),
                ("Ċ", bytes(b"\n")),
                ("<think>", bytes(b"<think>")),
                ("<|end|>", control("<|end|>")),
            ],
        ),
        (
            sentencepiece(),
            vec![
                ("▁hi", bytes(b" hi")),
                ("▁▁", bytes(b"  ")),
                ("é", bytes("é".as_bytes())),
                ("<0xF0>", bytes(&[0xf0])),
                ("</s>", control("</s>")),
            ],
        ),
        (unigram(), vec![("▁日", bytes(" 日".as_bytes())), ("h", bytes(b"h")), ("<unk>", control("<unk>"))]),
    ] {
        let tokenizer = load(&definition).unwrap();
        let texts = texts(&tokenizer).unwrap();
        for (token, text) in tokens {
            assert_eq!(texts[tokenizer.token_to_id(token).unwrap() as usize], text, "{token}");
        }
    }
}

#[test]
fn added_tokens_that_the_template_mentions_are_no_text() {
    let config = r#"{"chat_template": "{{ '<think>' }}"}"#;
    let tokenizer = load_with(&byte_level(), &[("tokenizer_config.json", config)]).unwrap();
    let think = tokenizer.token_to_id("<think>").unwrap() as usize;
    assert_eq!(texts(&tokenizer).unwrap()[think], TokenText::Control("<think>".to_owned()));
}

#[test]
fn tokens_whose_text_depends_on_others_have_no_bytes() {
    let mut definition = byte_level();
    definition["decoder"] = Value::Null;
    assert_eq!(texts(&load(&definition).unwrap()), None);
}

#[test]
fn a_part_is_decoded_as_behind_other_text() {
    let tokenizer = load(&sentencepiece()).unwrap();
    let id = |token: &str| tokenizer.token_to_id(token).unwrap();
    let mut detokenizer = tokenizer.detokenizer();
    assert_eq!(detokenizer.push(id("▁hi")).unwrap(), "hi");
    assert_eq!(detokenizer.push(id("<0xF0>")).unwrap(), "");
    assert_eq!(detokenizer.finish_part().unwrap(), "\u{fffd}");
    assert_eq!(detokenizer.push(id("▁hi")).unwrap(), " hi");
}
