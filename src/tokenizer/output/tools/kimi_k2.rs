// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/kimi_k2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `functions.name:0<|tool_call_argument_begin|>{…}`, each between its own tags

use super::super::tags::between;
use super::Call;
use super::values::{arguments, deserialize};

pub const SEPARATOR: &str = "<|tool_call_argument_begin|>";
const BEGIN: &str = "<|tool_call_begin|>";
const END: &str = "<|tool_call_end|>";

pub fn parse(body: &str) -> Option<Vec<Call>> {
    match body.contains(BEGIN) {
        true => between(body, BEGIN, END).map(single).collect(),
        false => Some(vec![single(body)?]),
    }
}

/// Returns the call's id, and the name in it.
pub fn header(text: &str) -> Option<(&str, &str)> {
    let id = text.rsplit_once(BEGIN).map_or(text, |(_, id)| id).trim();
    let (name, number) = id.rsplit_once(':')?;
    let name = name.strip_prefix("functions.").unwrap_or(name);
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbered && !name.is_empty()).then_some((id, name))
}

fn single(text: &str) -> Option<Call> {
    let (before, after) = text.split_once(SEPARATOR)?;
    let (id, name) = header(before)?;
    let arguments = arguments(deserialize(after.trim()))?;
    Some(Call { id: Some(id.to_owned()), name: name.to_owned(), arguments })
}
