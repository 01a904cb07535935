// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Parses the calls of a complete section.

mod function_gemma;
mod gemma;
mod gemma4;
mod glm47;
mod json_tools;
pub mod kimi_k2;
mod literal;
mod longcat;
mod minicpm5;
mod minimax_m2;
pub mod mistral;
mod pythonic;
mod qwen3_coder;
mod schema;
mod shell;
mod values;

use serde_json::{Map, Value};

use self::schema::Types;
pub use self::values::object;
use super::section::members::{Grammar, Members, Part};
use super::{ToolFormat, ToolSpec};

/// A call as the model wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub id: Option<String>,
    pub name: String,
    pub arguments: Map<String, Value>,
}

impl Call {
    fn new(name: impl Into<String>, arguments: Map<String, Value>) -> Self {
        Self { id: None, name: name.into(), arguments }
    }
}

/// Parses the text between the tags; `None` if it is malformed or contains no call.
pub fn parse(format: ToolFormat, body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    let calls = match format {
        ToolFormat::None | ToolFormat::Harmony => return None,
        ToolFormat::JsonTools => json_tools::parse(body)?,
        ToolFormat::Qwen3Coder => qwen3_coder::parse(body, tools)?,
        ToolFormat::Mistral => mistral::parse(body)?,
        ToolFormat::Pythonic => pythonic::parse(body)?,
        ToolFormat::FunctionGemma => function_gemma::parse(body)?,
        ToolFormat::Gemma4 => gemma4::parse(body)?,
        ToolFormat::Glm47 => vec![glm47::parse(body, tools)?],
        ToolFormat::Longcat => longcat::parse(body, tools)?,
        ToolFormat::KimiK2 => kimi_k2::parse(body)?,
        ToolFormat::MinimaxM2 => minimax_m2::parse(body, tools)?,
        ToolFormat::Minicpm5 => vec![minicpm5::parse(body, tools)?],
    };
    (!calls.is_empty()).then_some(calls)
}

/// Whether a text between two tags may be read as a string.
pub fn allows_text(tool: &ToolSpec, parameter: &str) -> bool {
    let types = Types::of(std::slice::from_ref(tool), &tool.name, parameter);
    types.is_none_or(|types| types.allow(&Value::String(String::new())))
}

/// Returns the tags of a format whose values stand between two tags.
pub fn grammar(format: ToolFormat) -> Option<&'static Grammar> {
    Some(match format {
        ToolFormat::Qwen3Coder => &qwen3_coder::GRAMMAR,
        ToolFormat::Glm47 => &glm47::GRAMMAR,
        ToolFormat::Longcat => &longcat::GRAMMAR,
        ToolFormat::MinimaxM2 => &minimax_m2::GRAMMAR,
        ToolFormat::Minicpm5 => &minicpm5::GRAMMAR,
        _ => return None,
    })
}

/// Parses calls, each with a name and then arguments that begin with theirs. `split_name` returns a name and the text after
/// it, `read` a value.
fn named_calls(
    grammar: &'static Grammar,
    body: &str,
    tools: &[ToolSpec],
    split_name: fn(&str) -> Option<(&str, &str)>,
    read: impl Fn(&str, Option<Types>) -> Option<Value>,
) -> Option<Vec<Call>> {
    let (parts, _) = Members::split(grammar, body, tools)?;
    let mut calls: Vec<Call> = vec![];
    for part in parts {
        match part {
            Part::Call(at) => calls.push(Call::new(split_name(body.get(at..)?)?.0, Map::new())),
            Part::Member { value, .. } => {
                let call = calls.last_mut()?;
                let (key, value) = split_name(body.get(value)?)?;
                let value = read(value, Types::of(tools, &call.name, key))?;
                call.arguments.insert(key.to_owned(), value);
            }
        }
    }
    Some(calls)
}

/// Whether names may contain this.
fn is_name(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"[]{}(),<>\"'".contains(c)
}

/// Whether this is a letter, digit or underscore.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Splits a text after the longest prefix of `wanted` characters.
fn split_run(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// Returns the longest suffix of `wanted` characters.
fn last_run(text: &str, wanted: impl Fn(char) -> bool) -> &str {
    let start = text.trim_end_matches(wanted).len();
    text.get(start..).unwrap_or_default()
}

/// Removes one line break at each end.
fn without_line_breaks(text: &str) -> &str {
    let text = text.strip_prefix('\n').unwrap_or(text);
    text.strip_suffix('\n').unwrap_or(text)
}

/// Returns the first name between a marker and a bracket, and the text after the bracket.
fn find_name<'a>(text: &'a str, marker: &str, open: char, in_name: fn(char) -> bool) -> Option<(&'a str, &'a str)> {
    let mut rest = text;
    loop {
        rest = rest.split_once(marker)?.1;
        let (name, after) = split_run(rest, in_name);
        if let Some(after) = after.strip_prefix(open).filter(|_| !name.is_empty()) {
            return Some((name, after));
        }
    }
}

/// Removes the line breaks around a value, if it has a line of its own.
fn without_own_line(text: &str) -> &str {
    text.strip_prefix('\n').and_then(|text| text.strip_suffix('\n')).unwrap_or(text)
}
