# Copyright (c) 2026 node-mlx contributors
# SPDX-License-Identifier: MIT
"""Mistakes that can be made with tool calls and reasoning; see mistakes.py."""

_KINDS = "test:tokenizer::output::tests::kinds"
_ROUND_TRIP = "test:tokenizer::output::tests::round_trip"

PARSERS = [
    ("src/tokenizer/output/tools/schema.rs", 'for key in ["anyOf", "oneOf"] {', 'for key in ["anyOf"] {', _KINDS),
    ("src/tokenizer/output/tools/schema.rs", 'list(schema, "allOf") {', 'list(schema, "noneOf") {', _KINDS),
    ("src/tokenizer/output/tools/schema.rs", "self.kinds |= other.kinds;", "self.kinds = other.kinds;", _ROUND_TRIP),
    (
        "src/tokenizer/output/tools/schema.rs",
        'if allows(NULL) && (trimmed.eq_ignore_ascii_case("null") || trimmed == "None") {',
        'if trimmed.eq_ignore_ascii_case("null") || trimmed == "None" {',
        _KINDS,
    ),
    (
        "src/tokenizer/output/section/members.rs",
        "} else if in_new_line && tag == member {",
        "} else if tag == member {",
        _KINDS,
    ),
    (
        "src/tokenizer/output/section/members.rs",
        "self.doubtful.get_or_insert(end);",
        "return Some(Found::End(end));",
        _ROUND_TRIP,
    ),
    (
        "src/tokenizer/output/section/quoted.rs",
        "State::String(_) | State::Escape(_) if self.at >= self.settled => {",
        "State::Escape(_) if self.at >= self.settled => {",
        _ROUND_TRIP,
    ),
    (
        "src/tokenizer/output/section/quoted.rs",
        "',' | ':' | ']'",
        "',' | ']'",
        _ROUND_TRIP,
    ),
    ("src/tokenizer/output/tools/gemma.rs", '"None" => Some(Value::Null),', '"Nil" => Some(Value::Null),', _ROUND_TRIP),
    (
        "src/tokenizer/output/tools/gemma.rs",
        "let (key, word) = run.rsplit_once(':')?;",
        "let (key, word) = run.split_once(':')?;",
        _ROUND_TRIP,
    ),
    (
        "src/tokenizer/output/harmony.rs",
        "text.starts_with(' ') && RECIPIENT.starts_with(word)",
        "text.starts_with(' ') && RECIPIENT == word",
        _KINDS,
    ),
    ("src/tokenizer/output/tools/values.rs", "if in_string && c < ' ' {", "if in_string && c < '\\t' {", _KINDS),
    (
        "src/tokenizer/output/format.rs",
        'has("tool_call.name") || describes_json(chat_template)',
        'has("tool_call.name")',
        _KINDS,
    ),
]
