// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/mistral.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: several calls, JSON lists, names with hyphens.
// Differs from mlx-lm: other names, and line breaks in strings.

//! `name[ARGS]{…}`, repeated, or `[{"name": …, "arguments": {…}}]`

use serde_json::{Deserializer, Map, Value};

use super::values::{arguments, loose_json, loosely, object};
use super::{Call, is_name, last_run};

pub const SEPARATOR: &str = "[ARGS]";
const CALL_ID: &str = "[CALL_ID]";

pub fn parse(body: &str) -> Option<Vec<Call>> {
    match loose_json(body) {
        Some(Value::Array(calls)) if !calls.is_empty() => calls.into_iter().map(listed).collect(),
        _ => loosely(body, headed),
    }
}

/// Returns the name before the separator, and the call's id if there is one.
pub fn header(text: &str) -> Option<(&str, Option<&str>)> {
    let text = text.trim_end();
    let last = last_run(text, is_name);
    let (name, id) = match text.strip_suffix(last).and_then(|before| before.strip_suffix(CALL_ID)) {
        Some(before) => (last_run(before, is_name), Some(last)),
        None => (last, None),
    };
    (!name.is_empty()).then_some((name, id))
}

fn listed(mut call: Value) -> Option<Call> {
    let call = call.as_object_mut()?;
    let Some(Value::String(name)) = call.shift_remove("name") else { return None };
    let arguments = match call.shift_remove("arguments") {
        Some(Value::Null) => return None,
        Some(value) => arguments(value)?,
        None => Map::new(),
    };
    let id = call.get("id").and_then(Value::as_str).map(str::to_owned);
    Some(Call { id, name, arguments })
}

fn headed(mut body: &str) -> Option<Vec<Call>> {
    let mut calls = vec![];
    while let Some((before, after)) = body.split_once(SEPARATOR) {
        body = after;
        let Some((name, id)) = header(before) else { continue };
        let mut values = Deserializer::from_str(after).into_iter::<&serde_json::value::RawValue>();
        let arguments = object(values.next()?.ok()?.get())?;
        calls.push(Call { id: id.map(str::to_owned), name: name.to_owned(), arguments });
        body = after.get(values.byte_offset()..)?;
    }
    Some(calls)
}
