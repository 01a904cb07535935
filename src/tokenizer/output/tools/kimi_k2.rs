// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/kimi_k2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Differs from mlx-lm: tags within arguments.

//! `functions.name:0<|tool_call_argument_begin|>{…}`, each between its own tags

use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::Call;
use super::values::{arguments, deserialize, loosely};

pub const SEPARATOR: &str = "<|tool_call_argument_begin|>";
const BEGIN: &str = "<|tool_call_begin|>";
const END: &str = "<|tool_call_end|>";

pub fn parse(body: &str) -> Option<Vec<Call>> {
    loosely(body, |body| calls(body, json)).or_else(|| calls(body, python))
}

/// Parses the calls; `split` returns the arguments at the start of a text, and the rest.
fn calls(body: &str, split: fn(&str) -> Option<(&str, &str)>) -> Option<Vec<Call>> {
    let mut calls = vec![];
    let mut rest = body;
    while let Some((before, after)) = rest.split_once(SEPARATOR) {
        let (id, name) = header(before)?;
        let (text, after) = split(after)?;
        let arguments = arguments(deserialize(text.trim()))?;
        calls.push(Call { id: Some(id.to_owned()), name: name.to_owned(), arguments });
        rest = after;
    }
    Some(calls)
}

fn json(text: &str) -> Option<(&str, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<&RawValue>();
    let value = values.next()?.ok()?.get();
    let rest = text.get(values.byte_offset()..)?;
    let is_end = rest.trim_start().is_empty() || rest.trim_start().starts_with("<|tool_call");
    is_end.then_some((value, rest))
}

fn python(text: &str) -> Option<(&str, &str)> {
    let end = text.find(END).or_else(|| text.find(BEGIN)).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Returns the call's id, and the name in it.
pub fn header(text: &str) -> Option<(&str, &str)> {
    let id = text.rsplit_once(BEGIN).map_or(text, |(_, id)| id).trim();
    let (name, number) = id.rsplit_once(':')?;
    let name = name.strip_prefix("functions.").unwrap_or(name);
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbered && !name.is_empty()).then_some((id, name))
}
