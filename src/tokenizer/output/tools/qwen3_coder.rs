// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/qwen3_coder.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: names without a bracket, containers without a type.
// Differs from mlx-lm: types by the whole schema, tags within values, end tags that are left out, several functions.

//! `<function=name><parameter=key>value</parameter></function>`

use serde_json::{Map, Value};

use super::schema::Types;
use super::values::json;
use super::{Call, ToolSpec, split_run, without_line_breaks};
use crate::tokenizer::output::section::members::{Grammar, Members, Part};

pub const GRAMMAR: Grammar = Grammar {
    section: ("<tool_call>", "</tool_call>"),
    call: Some(("<function=", "</function>")),
    member: "<parameter=",
    value: ("<parameter=", "</parameter>"),
    json: false,
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    let (parts, _) = Members::split(&GRAMMAR, body, tools)?;
    let mut calls: Vec<Call> = vec![];
    for part in parts {
        match part {
            Part::Call(at) => calls.push(Call::new(split_name(body.get(at..)?)?.0, Map::new())),
            Part::Member { value, .. } => {
                let call = calls.last_mut()?;
                let (key, value) = split_name(body.get(value)?)?;
                let value = convert(without_line_breaks(value), Types::of(tools, &call.name, key))?;
                call.arguments.insert(key.to_owned(), value);
            }
        }
    }
    Some(calls)
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

/// Converts a text to the type in a parameter's schema; `None` if that is impossible.
fn convert(text: &str, types: Option<Types>) -> Option<Value> {
    match types {
        Some(types) if !types.are_unknown() => {
            types.read(text).or_else(|| types.allow_container().then(|| text.into()))
        }
        _ if text.eq_ignore_ascii_case("null") => Some(Value::Null),
        types => {
            let container = types.and_then(|_| json(text)).filter(|value| value.is_object() || value.is_array());
            Some(container.unwrap_or_else(|| text.into()))
        }
    }
}
