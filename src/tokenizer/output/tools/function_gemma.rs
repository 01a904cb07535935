// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/function_gemma.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `call:name{key:value,key:<escape>text<escape>}`

use serde_json::Map;

use super::values::json;
use super::{Call, find_name, is_word};

const ESCAPE: &str = "<escape>";

pub fn parse(body: &str) -> Option<Call> {
    let (name, mut rest) = find_name(body, "call:", '{', is_word)?;
    let mut arguments = Map::new();
    while !rest.starts_with('}') {
        let (key, value) = rest.split_once(':')?;
        let (value, after) = match value.strip_prefix(ESCAPE) {
            Some(text) => {
                let (text, after) = text.split_once(ESCAPE)?;
                (text.into(), after)
            }
            None => {
                let (value, after) = value.split_at(value.find([',', '}'])?);
                (json(value).unwrap_or_else(|| value.into()), after)
            }
        };
        arguments.insert(key.to_owned(), value);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Call::new(name, arguments))
}
