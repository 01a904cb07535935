// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/gemma4.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `call:name{key:value,key:<|"|>text<|"|>}`

use super::values::object;
use super::{Call, is_word, split_run};

const QUOTE: &str = "<|\"|>";

pub fn parse(body: &str) -> Option<Vec<Call>> {
    let mut calls = vec![];
    let mut rest = body;
    while let Some((_, call)) = rest.split_once("call:") {
        let (name, arguments) = split_run(call, |c| is_word(c) || c == '-');
        rest = call;
        if !name.is_empty() && arguments.starts_with('{') {
            let (json, after) = to_json(arguments)?;
            calls.push(Call::new(name, object(&json)?));
            rest = after;
        }
    }
    Some(calls)
}

/// Converts an object to JSON. Also returns the text after it.
fn to_json(text: &str) -> Option<(String, &str)> {
    let mut json = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(string) = rest.strip_prefix(QUOTE) {
            let (string, after) = string.split_once(QUOTE)?;
            json.push_str(&serde_json::to_string(string).ok()?);
            rest = after;
            continue;
        }
        let c = rest.chars().next()?;
        json.push(c);
        rest = rest.strip_prefix(c)?;
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((json, rest));
        }
        if matches!(c, '{' | ',') {
            let (key, after) = split_run(rest, is_word);
            if !key.is_empty() && after.starts_with(':') {
                json.push_str(&serde_json::to_string(key).ok()?);
                rest = after;
            }
        }
    }
}
