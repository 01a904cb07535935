// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/qwen3_coder.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: names without a bracket, containers without a type.

//! `<function=name><parameter=key>value</parameter></function>`

use serde_json::{Map, Value};

use super::super::tags::between;
use super::values::{float, json, loose_json, number};
use super::{Call, ToolSpec, literal, schema, split_run, without_line_breaks};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    let (_, function) = body.split_once("<function=")?;
    let (name, parameters) = split_name(function.trim_end().strip_suffix("</function>")?)?;
    let mut arguments = Map::new();
    for parameter in between(parameters, "<parameter=", "</parameter>") {
        let (key, value) = split_name(parameter)?;
        arguments.insert(key.to_owned(), convert(without_line_breaks(value), schema(tools, name, key))?);
    }
    Some(Call::new(name, arguments))
}

/// Returns the name at the start of a text, up to a space or bracket.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = split_run(text.trim_start(), |c| !c.is_whitespace() && c != '<' && c != '>');
    (!name.is_empty()).then(|| (name, rest.strip_prefix('>').unwrap_or(rest)))
}

/// Converts a text to the type in a parameter's schema; `None` if that is impossible.
fn convert(text: &str, schema: Option<&Value>) -> Option<Value> {
    if text.to_lowercase() == "null" {
        return Some(Value::Null);
    }
    let Some(schema) = schema.and_then(Value::as_object).filter(|schema| !schema.is_empty()) else {
        return Some(text.into());
    };
    let Some(kind) = schema.get("type") else {
        let container = json(text).filter(|value| value.is_object() || value.is_array());
        return Some(container.unwrap_or_else(|| text.into()));
    };
    let kind = kind.as_str().unwrap_or_default().trim().to_lowercase();
    let begins_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
    Some(match kind.as_str() {
        "string" | "str" | "text" | "varchar" | "char" | "enum" => text.into(),
        _ if begins_with(&["int", "uint", "long", "short", "unsigned"]) => {
            number(float(text).filter(|value| value.fract() == 0.0)?)
        }
        _ if begins_with(&["num", "float"]) => number(float(text)?),
        "boolean" | "bool" | "binary" => (text.to_lowercase() == "true").into(),
        "object" | "array" | "arr" => container(text),
        _ if begins_with(&["dict", "list"]) => container(text),
        _ => literal::parse(text).unwrap_or_else(|| text.into()),
    })
}

fn container(text: &str) -> Value {
    loose_json(text).or_else(|| literal::parse(text)).unwrap_or_else(|| text.into())
}
