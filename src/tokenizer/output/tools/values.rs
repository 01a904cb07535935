// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Parses values as Python does.

use serde_json::{Map, Value};

use super::literal;

/// Parses a JSON object.
pub fn object(text: &str) -> Option<Map<String, Value>> {
    loosely(text, |json| serde_json::from_str(json).ok())
}

/// Parses JSON objects that follow one another.
pub fn objects(text: &str) -> Option<Vec<Map<String, Value>>> {
    loosely(text, |json| serde_json::Deserializer::from_str(json).into_iter().collect::<Result<_, _>>().ok())
}

/// Returns the arguments of a call: an object, the JSON text of one, or nothing.
pub fn arguments(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(arguments) => Some(arguments),
        Value::String(json) => object(&json),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

pub fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Parses JSON whose strings may contain unescaped control characters.
pub fn loose_json(text: &str) -> Option<Value> {
    loosely(text, json)
}

/// Tries to parse a text as it is, and then with the control characters in its strings escaped.
pub fn loosely<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    parse(text).or_else(|| parse(&with_escapes(text)?))
}

/// Escapes control characters in strings; `None` if there are none.
fn with_escapes(text: &str) -> Option<String> {
    let mut strict = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut has_changed) = (false, false, false);
    for c in text.chars() {
        if in_string && c < ' ' {
            if std::mem::take(&mut escaped) {
                strict.pop();
            }
            strict.push_str(&format!("\\u{:04x}", c as u32));
            has_changed = true;
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
        strict.push(c);
    }
    has_changed.then_some(strict)
}

/// Parses JSON, or else a Python literal, or else returns the text itself.
pub fn deserialize(text: &str) -> Value {
    json(text).or_else(|| literal::parse(text)).unwrap_or_else(|| text.into())
}

/// Python's `float()`, for finite numbers.
pub fn float(text: &str) -> Option<f64> {
    let number = without_underscores(text.trim())?;
    number.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Python's `int()`.
pub fn integer(text: &str) -> Option<Value> {
    let digits = without_underscores(text.trim())?;
    let parsed = digits.parse::<i64>().map(Value::from).or_else(|_| digits.parse::<u64>().map(Value::from));
    let all_digits = digits.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
    parsed.ok().or_else(|| float(text).filter(|_| all_digits).map(Value::from))
}

/// Returns a number, as an integer if possible.
pub fn number(value: f64) -> Value {
    // Below 2⁶³ the conversion is exact.
    match value.fract() == 0.0 && value.abs() < 9_223_372_036_854_775_808.0 {
        true => Value::from(value as i64),
        false => Value::from(value),
    }
}

/// Removes the underscores between digits.
pub fn without_underscores(number: &str) -> Option<String> {
    let misplaced = number.starts_with('_') || number.ends_with('_') || number.contains("__");
    (!misplaced).then(|| number.replace('_', ""))
}
