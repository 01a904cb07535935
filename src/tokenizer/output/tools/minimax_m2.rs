// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/minimax_m2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: null needs its type, objects may be Python literals.
// Differs from mlx-lm: types by the whole schema, tags within values, space around strings.

//! `<invoke name="…"><parameter name="…">value</parameter></invoke>`

use serde_json::Value;

use super::schema::Types;
use super::values::json;
use super::{Call, ToolSpec, named_calls, split_run, without_own_line};
use crate::tokenizer::output::section::members::Grammar;

pub const GRAMMAR: Grammar = Grammar {
    section: ("<minimax:tool_call>", "</minimax:tool_call>"),
    call: Some(("<invoke name=", "</invoke>")),
    member: "<parameter name=",
    value: ("<parameter name=", "</parameter>"),
    json: false,
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    named_calls(&GRAMMAR, body, tools, split_name, |text, types| Some(convert(without_own_line(text), types)))
}

/// Returns a name, quoted or not, and the text after the bracket that follows it.
pub fn split_name(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (name, rest) = match text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => text.strip_prefix(quote)?.split_once(quote)?,
        None => split_run(text, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>')),
    };
    (!name.is_empty()).then_some((name, rest.trim_start().strip_prefix('>')?))
}

/// Converts a text to the types in a parameter's schema, if that is possible.
pub fn convert(text: &str, types: Option<Types>) -> Value {
    match types.filter(|types| !types.are_unknown()) {
        Some(types) => types.read(text).or_else(|| json(text)).unwrap_or_else(|| text.into()),
        None if text.trim().eq_ignore_ascii_case("null") => Value::Null,
        None => text.into(),
    }
}
