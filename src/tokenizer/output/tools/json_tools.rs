// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/json_tools.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Differs from mlx-lm: several objects, arrays of them, and line breaks in strings.

//! `{"name": …, "arguments": {…}}`, or an array of these

use serde_json::{Map, Value};

use super::Call;
use super::values::{arguments, loosely, objects};

pub fn parse(body: &str) -> Option<Vec<Call>> {
    let array = || loosely(body, |json| serde_json::from_str(json).ok());
    objects(body).or_else(array)?.into_iter().map(call).collect()
}

fn call(mut call: Map<String, Value>) -> Option<Call> {
    let Some(Value::String(name)) = call.shift_remove("name") else { return None };
    let arguments = match call.shift_remove("arguments") {
        // Other members may be misnamed arguments.
        None if call.keys().any(|key| key != "id" && key != "type") => return None,
        value => arguments(value.unwrap_or_default())?,
    };
    let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    Some(Call { id, name, arguments })
}
