// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/minimax_m2.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: null needs its type, objects may be Python literals.

//! `<invoke name="…"><parameter name="…">value</parameter></invoke>`

use serde_json::{Map, Value};

use super::super::tags::between;
use super::values::{float, integer, json, loose_json, number};
use super::{Call, ToolSpec, literal, schema, without_line_breaks};

/// The types in the order in which they are tried.
const PRIORITY: [&str; 11] =
    ["integer", "int", "number", "float", "boolean", "bool", "object", "array", "string", "str", "text"];
/// Deeper schemas are ignored.
const MAX_DEPTH: usize = 32;

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    let calls = between(body, "<invoke name=", "</invoke>").map(|invoke| {
        let (name, parameters) = split_name(invoke)?;
        let arguments = between(parameters, "<parameter name=", "</parameter>").map(|parameter| {
            let (key, value) = split_name(parameter)?;
            let value = without_line_breaks(value.trim());
            Some((key.to_owned(), convert(value, schema(tools, name, key))))
        });
        Some(Call::new(name, arguments.collect::<Option<Map<_, _>>>()?))
    });
    calls.collect()
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('>')?;
    (!name.is_empty()).then(|| (unquoted(name), rest))
}

/// Removes surrounding quotes.
pub fn unquoted(name: &str) -> &str {
    let name = name.trim();
    let inside = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(name)
}

/// Converts a text to the first type in a parameter's schema that fits.
pub fn convert(text: &str, schema: Option<&Value>) -> Value {
    let lower = text.to_lowercase();
    if lower == "null" {
        return Value::Null;
    }
    let mut types = vec![];
    if let Some(schema) = schema {
        collect_types(schema, 0, &mut types);
    }
    if types.is_empty() {
        return text.into();
    }
    if types.iter().any(|kind| kind == "null") && matches!(lower.as_str(), "none" | "nil") {
        return Value::Null;
    }
    let wanted = PRIORITY.into_iter().filter(|wanted| types.iter().any(|kind| kind == wanted));
    let value = wanted.filter_map(|kind| match kind {
        "integer" | "int" => integer(text),
        "number" | "float" => float(text).map(number),
        "boolean" | "bool" => match lower.trim() {
            "true" | "1" | "yes" | "on" => Some(true.into()),
            "false" | "0" | "no" | "off" => Some(false.into()),
            _ => None,
        },
        "object" | "array" => loose_json(text).or_else(|| literal::parse(text)),
        _ => Some(text.into()),
    });
    let mut value = value;
    value.next().or_else(|| json(text)).unwrap_or_else(|| text.into())
}

fn collect_types(schema: &Value, depth: usize, types: &mut Vec<String>) {
    let Some(schema) = schema.as_object().filter(|_| depth < MAX_DEPTH) else {
        return types.push("string".to_owned());
    };
    let before = types.len();
    match schema.get("type") {
        Some(Value::String(kind)) => types.push(kind.to_lowercase()),
        Some(Value::Array(kinds)) => types.extend(kinds.iter().filter_map(Value::as_str).map(str::to_lowercase)),
        _ => {}
    }
    let list = |field: &str| schema.get(field).and_then(Value::as_array).into_iter().flatten();
    types.extend(list("enum").map(type_of).map(str::to_owned));
    for choice in ["anyOf", "oneOf", "allOf"].into_iter().flat_map(list) {
        collect_types(choice, depth + 1, types);
    }
    if types.len() == before {
        types.push("string".to_owned());
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
