// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/minicpm5.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: that commit does not have the file.
// Differs from mlx-lm: as minimax_m2.rs.

//! `<function name="…"><param name="…">value</param></function>`

use serde_json::Map;

use super::minimax_m2::{convert, split_name};
use super::schema::Types;
use super::{Call, ToolSpec, without_own_line};
use crate::tokenizer::output::section::members::{Grammar, Members, Part};

pub const GRAMMAR: Grammar = Grammar {
    section: ("<function name=", "</function>"),
    call: None,
    member: "<param",
    value: ("<param", "</param>"),
    json: false,
};

/// Parses a call; the start tag ends before the name.
pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    let (parts, _) = Members::split(&GRAMMAR, body, tools)?;
    let (name, _) = split_name(body)?;
    let mut arguments = Map::new();
    for part in parts {
        let Part::Member { value, .. } = part else { continue };
        let attribute = body.get(value)?.strip_prefix(char::is_whitespace)?.trim_start().strip_prefix("name")?;
        let (key, value) = split_name(attribute.trim_start().strip_prefix('=')?)?;
        arguments.insert(key.to_owned(), convert(content(value), Types::of(tools, name, key)));
    }
    Some(Call::new(name, arguments))
}

fn content(value: &str) -> &str {
    let data = value.trim().strip_prefix("<![CDATA[").and_then(|inside| inside.strip_suffix("]]>"));
    data.unwrap_or_else(|| without_own_line(value))
}
