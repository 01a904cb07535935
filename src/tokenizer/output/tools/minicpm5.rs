// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/minicpm5.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Follows mlx-lm 0.32.2 where it differs: that commit does not have the file.

//! `<function name="…"><param name="…">value</param></function>`

use serde_json::Map;

use super::super::tags::between;
use super::minimax_m2::{convert, unquoted};
use super::{Call, ToolSpec, schema, split_run};

/// Parses a call; the start tag ends before the name.
pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    let (name, parameters) = split_name(body)?;
    let arguments = between(parameters, "<param", "</param>").map(|parameter| {
        let attribute = parameter.strip_prefix(char::is_whitespace)?.trim_start().strip_prefix("name")?;
        let (key, value) = split_name(attribute.trim_start().strip_prefix('=')?)?;
        Some((key.to_owned(), convert(content(value), schema(tools, name, key))))
    });
    Some(Call::new(name, arguments.collect::<Option<Map<_, _>>>()?))
}

/// Returns a name, quoted or not, and the text after the bracket that follows it.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (name, rest) = match text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => {
            let end = text.char_indices().skip(1).find(|(_, c)| *c == quote).map(|(at, _)| at + 1)?;
            text.split_at(end)
        }
        None => split_run(text, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>')),
    };
    (!name.is_empty()).then_some((unquoted(name), rest.trim_start().strip_prefix('>')?))
}

fn content(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix("<![CDATA[").and_then(|inside| inside.strip_suffix("]]>")).unwrap_or(value)
}
