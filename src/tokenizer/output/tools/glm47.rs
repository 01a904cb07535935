// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/glm47.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Differs from mlx-lm: types by the whole schema, tags within values, space around strings.

//! `name<arg_key>key</arg_key><arg_value>value</arg_value>`, or other forms that GLM writes

use serde_json::{Map, Value};

use super::schema::Types;
use super::values::{deserialize, json};
use super::{Call, ToolSpec, is_name, shell, without_own_line};
use crate::tokenizer::output::section::members::{Grammar, Members, Part};

pub const GRAMMAR: Grammar = Grammar {
    section: ("<tool_call>", "</tool_call>"),
    call: None,
    member: "<arg_key>",
    value: ("<arg_value>", "</arg_value>"),
    json: true,
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    match json(body) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => json_call(value, tools),
        _ if body.contains(GRAMMAR.member) => tagged_call(&GRAMMAR, "</arg_key>", body, tools),
        _ => plain_text_call(body.trim(), tools),
    }
}

/// Parses a call with a tag around each key and value. Arguments that are not strings in the schema are JSON or Python
/// literals.
pub fn tagged_call(grammar: &'static Grammar, key_end: &str, body: &str, tools: &[ToolSpec]) -> Option<Call> {
    let (parts, rest) = Members::split(grammar, body, tools)?;
    let name = match body.split_once(grammar.member) {
        Some((name, _)) => name.trim(),
        None => Some(body.trim()).filter(|name| name.chars().all(is_name))?,
    };
    let mut arguments = Map::new();
    for part in parts {
        let Part::Member { before, value } = part else { continue };
        let (junk, key) = body.get(before)?.split_once(grammar.member)?;
        let (key, space) = key.split_once(key_end)?;
        let is_malformed = !skip_space(space).is_empty() || (!arguments.is_empty() && !skip_space(junk).is_empty());
        if is_malformed {
            return None;
        }
        let key = key.trim();
        arguments.insert(key.to_owned(), read(body.get(value)?, Types::of(tools, name, key)));
    }
    (!name.is_empty() && !rest.contains(grammar.member)).then(|| Call::new(name, arguments))
}

fn read(text: &str, types: Option<Types>) -> Value {
    match types.filter(|types| !types.are_unknown()) {
        Some(types) => types.read(without_own_line(text)).unwrap_or_else(|| deserialize(text.trim())),
        None => deserialize(text.trim()),
    }
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
        (!key.is_empty()).then(|| (key.to_owned(), read(value, Types::of(tools, function, key))))
    });
    pairs.collect()
}

/// Converts values to the types in the schema.
fn normalized(function: &str, arguments: Map<String, Value>, tools: &[ToolSpec]) -> Call {
    let arguments = arguments.into_iter().map(|(key, value)| {
        let types = Types::of(tools, function, &key).filter(|types| !types.are_unknown());
        let value = match (types, value) {
            (Some(types), value) if types.allow(&value) => value,
            (Some(types), value) if types.are_string() => match value {
                Value::Null => "None".into(),
                Value::Bool(value) => if value { "True" } else { "False" }.into(),
                value => value.to_string().into(),
            },
            (types, Value::String(text)) => read(&text, types),
            (_, value) => value,
        };
        (key, value)
    });
    Call::new(function, arguments.collect())
}
