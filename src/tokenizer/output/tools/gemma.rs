// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Objects as Gemma's chat templates write them: keys are bare, and strings stand between two equal tokens.

use serde_json::{Deserializer, Map, Value};

use super::values::json;
use super::{Call, is_name, split_run};

/// Text with deeper nesting is malformed.
const MAX_DEPTH: usize = 128;

#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The token around strings.
    pub quote: &'static str,
    /// Whether other values are strings, too.
    pub words_are_text: bool,
}

/// Parses all calls in a text; `None` if one of them is malformed.
pub fn calls(body: &str, dialect: Dialect) -> Option<Vec<Call>> {
    let mut calls = vec![];
    let mut rest = body;
    while let Some((_, call)) = rest.split_once("call:") {
        let (name, after) = split_run(call, is_name);
        rest = after;
        if let Some(members) = after.strip_prefix('{').filter(|_| !name.is_empty()) {
            let mut reader = Reader { rest: members, depth: 0, dialect };
            calls.push(Call::new(name, reader.members()?));
            rest = reader.rest;
        }
    }
    Some(calls)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    dialect: Dialect,
}

impl<'a> Reader<'a> {
    /// Consumes a text, and the space before it, if it is next.
    fn take(&mut self, text: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Parses members up to the closing brace.
    fn members(&mut self) -> Option<Map<String, Value>> {
        let mut members = Map::new();
        while !self.take("}") {
            let (key, value) = self.member()?;
            members.insert(key, value);
            if !self.take(",") && !self.rest.starts_with('}') && !self.dialect.words_are_text {
                return None;
            }
        }
        Some(members)
    }

    fn member(&mut self) -> Option<(String, Value)> {
        if let Some(key) = self.string() {
            let key = key?;
            return if self.take(":") { Some((key, self.value()?)) } else { None };
        }
        let (run, rest) = self.run(&[',', '{', '}', '[', ']']);
        let is_open = rest.starts_with(['{', '[', '"']) || rest.starts_with(self.dialect.quote);
        if is_open {
            let key = run.trim_end().strip_suffix(':')?.trim();
            self.rest = rest;
            return (!key.is_empty()).then_some((key.to_owned(), self.value()?));
        }
        self.rest = rest;
        let (key, word) = run.rsplit_once(':')?;
        let (key, value) = match (word_value(word.trim()), self.dialect.words_are_text) {
            (Some(value), _) => (key, value),
            (None, true) => run.split_once(':').map(|(key, text)| (key, text.trim().into()))?,
            (None, false) => return None,
        };
        Some((key.trim().to_owned(), value))
    }

    fn value(&mut self) -> Option<Value> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let value = self.value_within();
        self.depth -= 1;
        value
    }

    fn value_within(&mut self) -> Option<Value> {
        if let Some(text) = self.string() {
            return text.map(Value::from);
        }
        if self.take("{") {
            return self.members().map(Value::from);
        }
        if self.take("[") {
            return self.elements();
        }
        let (word, rest) = self.run(&[',', '}', ']']);
        self.rest = rest;
        let word = word.trim();
        word_value(word).or_else(|| self.dialect.words_are_text.then(|| word.into()))
    }

    fn elements(&mut self) -> Option<Value> {
        let mut elements = vec![];
        while !self.take("]") {
            elements.push(self.value()?);
            if !self.take(",") && !self.rest.starts_with(']') {
                return None;
            }
        }
        Some(elements.into())
    }

    /// Parses a string if one is next, in the format's quotes or as JSON.
    fn string(&mut self) -> Option<Option<String>> {
        if self.take(self.dialect.quote) {
            let (text, rest) = self.rest.split_once(self.dialect.quote).unzip();
            self.rest = rest.unwrap_or_default();
            return Some(text.map(str::to_owned));
        }
        if !self.rest.starts_with('"') {
            return None;
        }
        let mut strings = Deserializer::from_str(self.rest).into_iter::<String>();
        let text = strings.next().and_then(Result::ok);
        self.rest = self.rest.get(strings.byte_offset()..).unwrap_or_default();
        Some(text)
    }

    /// Returns the text up to a string or one of these characters, and the rest.
    fn run(&self, ends: &[char]) -> (&'a str, &'a str) {
        let begins_string = |at: usize| self.rest.get(at..).is_some_and(|rest| rest.starts_with(self.dialect.quote));
        let has_key = |at: usize| self.rest.get(..at).is_some_and(|run| run.trim_end().ends_with(':'));
        let is_end = |&(at, c): &(usize, char)| {
            ends.contains(&c) || (c == '<' && begins_string(at)) || (c == '"' && has_key(at))
        };
        let end = self.rest.char_indices().find(is_end).map_or(self.rest.len(), |(at, _)| at);
        self.rest.split_at(end)
    }
}

/// Returns the value of a number or name.
fn word_value(word: &str) -> Option<Value> {
    match word {
        "None" => Some(Value::Null),
        "True" => Some(true.into()),
        "False" => Some(false.into()),
        _ => json(word).filter(|value| !value.is_string()),
    }
}
