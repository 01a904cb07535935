// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/pythonic.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: several calls, nested values, names with dots.
// Differs from mlx-lm: other names and keys, quotes and line breaks in strings, calls as JSON.

//! `[name(key=value), name(key=value)]`, or JSON, which LFM2's makers let a system prompt ask for.

use serde_json::{Map, Value};

use super::literal::{self, Literal};
use super::{Call, find_name, is_name, is_word, json_tools, last_run};

pub fn parse(body: &str) -> Option<Vec<Call>> {
    let begin = body.trim_start();
    if begin.strip_prefix('[').unwrap_or(begin).trim_start().starts_with('{') {
        return json_tools::parse(body);
    }
    python_calls(body).or_else(|| Some(vec![loose_call(body)?]))
}

fn python_calls(body: &str) -> Option<Vec<Call>> {
    let (start, end) = (body.find('[')?, body.rfind(']')?);
    let mut python = Literal::new(body.get(start + 1..end)?, true);
    let mut calls = vec![];
    while !python.is_at_end() {
        calls.push(call(&mut python)?);
        if !python.take(',') && !python.is_at_end() {
            return None;
        }
    }
    (!calls.is_empty()).then_some(calls)
}

fn call(python: &mut Literal) -> Option<Call> {
    let name = python.name('(')?;
    let mut arguments = Map::new();
    while !python.take(')') {
        let key = python.name('=')?;
        if arguments.insert(key.to_owned(), python.value()?).is_some() {
            return None;
        }
        if !python.take(',') {
            return python.take(')').then(|| Call::new(name, arguments));
        }
    }
    Some(Call::new(name, arguments))
}

/// Parses a call that is not valid Python, for example with unquoted text.
fn loose_call(body: &str) -> Option<Call> {
    let (name, rest) = find_name(body, "[", '(', is_name)?;
    let (arguments, _) = rest.split_once(")]")?;
    Some(Call::new(name, loose_arguments(arguments)))
}

fn loose_arguments(mut rest: &str) -> Map<String, Value> {
    let mut arguments = Map::new();
    while let Some((before, after)) = rest.split_once('=') {
        rest = after;
        let key = last_run(before, is_word);
        if key.is_empty() {
            continue;
        }
        let (value, after) = quoted(after, '"').or_else(|| quoted(after, '\'')).unwrap_or_else(|| {
            after.split_once(',').map_or((after.trim(), ""), |(value, after)| (value.trim(), after))
        });
        if !value.is_empty() {
            arguments.insert(key.to_owned(), literal::parse(value).unwrap_or_else(|| value.into()));
            rest = after;
        }
    }
    arguments
}

/// Parses a string at the start, if a comma or nothing follows it.
fn quoted(text: &str, quote: char) -> Option<(&str, &str)> {
    let (value, after) = text.strip_prefix(quote)?.split_once(quote)?;
    Some((value, after.strip_prefix(',').or_else(|| after.is_empty().then_some(after))?))
}
