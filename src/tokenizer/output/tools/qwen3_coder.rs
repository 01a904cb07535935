// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/qwen3_coder.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: names without a bracket, containers without a type.
// Differs from mlx-lm: types by the whole schema, tags within values, end tags that are left out, several functions; a
// value that does not fit its schema stays a text, as the model's makers have it.

//! `<function=name><parameter=key>value</parameter></function>`

use serde_json::Value;

use super::schema::Types;
use super::values::json;
use super::{Call, ToolSpec, named_calls, split_run, without_line_breaks};
use crate::tokenizer::output::section::members::Grammar;

pub const GRAMMAR: Grammar = Grammar {
    section: ("<tool_call>", "</tool_call>"),
    call: Some(("<function=", "</function>")),
    member: "<parameter=",
    value: ("<parameter=", "</parameter>"),
    json: false,
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    named_calls(&GRAMMAR, body, tools, split_name, |text, types| Some(convert(without_line_breaks(text), types)))
}

/// Returns the name at the start of a text, up to a bracket or else a space.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (line, rest) = split_run(text, |c| !matches!(c, '<' | '>' | '\n'));
    let (name, rest) = match rest.strip_prefix('>') {
        Some(rest) => (line.trim_end(), rest),
        None => split_run(text, |c| !c.is_whitespace() && c != '<'),
    };
    (!name.is_empty()).then_some((name, rest))
}

/// Converts a text to the type in a parameter's schema, if it is of that type.
fn convert(text: &str, types: Option<Types>) -> Value {
    let value = match types {
        Some(types) if !types.are_unknown() => types.read(text),
        _ if text.eq_ignore_ascii_case("null") => Some(Value::Null),
        types => types.and_then(|_| json(text)).filter(|value| value.is_object() || value.is_array()),
    };
    value.unwrap_or_else(|| text.into())
}
