// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/glm47.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `name<arg_key>key</arg_key><arg_value>value</arg_value>`, or other forms that GLM writes

use serde_json::{Map, Value};

use super::values::{deserialize, json};
use super::{Call, ToolSpec, schema, shell};

/// The tags around keys and values.
pub struct ArgumentTags {
    pub key: (&'static str, &'static str),
    pub value: (&'static str, &'static str),
}

const TAGS: ArgumentTags = ArgumentTags { key: ("<arg_key>", "</arg_key>"), value: ("<arg_value>", "</arg_value>") };

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    if let Some((name, _)) = body.split_once(TAGS.key.0) {
        let name = name.trim();
        return Some(Call::new(name, arguments(body, &TAGS, name, tools)?)).filter(|call| !call.name.is_empty());
    }
    match json(body) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => json_call(value, tools),
        _ => plain_text_call(body.trim(), tools),
    }
}

/// Parses arguments. Those that are not strings in the schema are JSON or Python literals.
pub fn arguments(body: &str, tags: &ArgumentTags, function: &str, tools: &[ToolSpec]) -> Option<Map<String, Value>> {
    let mut arguments = Map::new();
    let mut rest = body;
    while let Some((_, after)) = rest.split_once(tags.key.0) {
        let (key, after) = after.split_once(tags.key.1)?;
        let (value, after) = skip_space(after).strip_prefix(tags.value.0)?.split_once(tags.value.1)?;
        let (key, value) = (key.trim(), value.trim());
        arguments.insert(key.to_owned(), read(value, is_string(tools, function, key)));
        rest = after;
    }
    Some(arguments)
}

fn is_string(tools: &[ToolSpec], function: &str, parameter: &str) -> bool {
    schema(tools, function, parameter).and_then(|schema| schema.get("type")).is_some_and(|kind| kind == "string")
}

fn read(text: &str, is_string: bool) -> Value {
    if is_string { text.into() } else { deserialize(text) }
}

/// Skips whitespace, including escaped line breaks.
fn skip_space(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        match text.strip_prefix(r"\n") {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

fn json_call(value: Value, tools: &[ToolSpec]) -> Option<Call> {
    let mut call = match value {
        Value::Array(calls) => calls.into_iter().next()?,
        value => value,
    };
    if call.get("arguments").is_none() {
        call = call.get_mut("tool")?.take();
    }
    let call = call.as_object_mut()?;
    let mut arguments = call.shift_remove("arguments").unwrap_or_default();
    let mut name = call.shift_remove("name").or_else(|| call.shift_remove("function"))?;
    if let Value::Object(function) = &mut name {
        if arguments.is_null() {
            arguments = function.shift_remove("arguments").unwrap_or_default();
        }
        name = function.shift_remove("name")?;
    }
    if let Value::String(text) = &arguments {
        arguments = deserialize(text);
    }
    let Value::String(name) = name else { return None };
    match arguments {
        Value::Null => Some(Call::new(name, Map::new())),
        Value::Object(arguments) => Some(normalized(&name, arguments, tools)),
        _ => None,
    }
}

/// Parses `name {json}`, `name key=value key=value`, or only the name.
fn plain_text_call(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    if let Some((name, rest)) = body.split_once('\n')
        && let Value::Object(arguments) = deserialize(rest.trim())
        && !name.trim().is_empty()
    {
        return Some(normalized(name.trim(), arguments, tools));
    }
    let (name, rest) = body.split_once(' ').unwrap_or((body, ""));
    let rest = rest.trim();
    if name.is_empty() || rest.is_empty() {
        return (!name.is_empty()).then(|| Call::new(name, Map::new()));
    }
    if let Value::Object(arguments) = deserialize(rest) {
        return Some(normalized(name, arguments, tools));
    }
    let arguments = key_value_pairs(rest, name, tools);
    Some(Call::new(name, arguments.unwrap_or_else(|| Map::from_iter([("raw".to_owned(), rest.into())]))))
}

fn key_value_pairs(text: &str, function: &str, tools: &[ToolSpec]) -> Option<Map<String, Value>> {
    let words = shell::split(text)?;
    let pairs = words.iter().map(|word| {
        let (key, value) = word.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), read(value, is_string(tools, function, key))))
    });
    pairs.collect()
}

/// Converts values to the types in the schema.
fn normalized(function: &str, arguments: Map<String, Value>, tools: &[ToolSpec]) -> Call {
    let arguments = arguments.into_iter().map(|(key, value)| {
        let value = match (is_string(tools, function, &key), value) {
            (false, Value::String(text)) => deserialize(&text),
            (true, Value::Null) => "None".into(),
            (true, Value::Bool(value)) => if value { "True" } else { "False" }.into(),
            (true, value @ (Value::Number(_) | Value::Array(_) | Value::Object(_))) => value.to_string().into(),
            (_, value) => value,
        };
        (key, value)
    });
    Call::new(function, arguments.collect())
}
